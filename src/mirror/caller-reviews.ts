import { isIP } from 'node:net'
import type { V1TokenReviewStatus } from '@kubernetes/client-node'
import { RegcreddError } from '../errors.ts'
import { notTheApi, orSilent } from './api-answer.ts'
import { createCall } from './call.ts'
import type { Answer } from './fault.ts'
import { type Connection, openKubeconfig } from './kubeconfig.ts'

export type ReviewedUser = { name: string; uid: string | undefined; groups: string[]; extra: Record<string, string[]> }
export type ReviewedAccess = { group: string; resource: string; verb: string; name: string | undefined }

/** What the cluster says of somebody else. None of the calls throws; every answer is safe to show. */
export type CallerReviews = {
  /** Whom a token stands for (TokenReview); `undefined`: nobody, or it was not made for our audience. */
  user(token: string): Promise<Answer<ReviewedUser | undefined>>
  /** Whether he may do that (SubjectAccessReview). */
  isAllowed(user: ReviewedUser, access: ReviewedAccess): Promise<Answer<boolean>>
  /** Breaks off what is under way. */
  close(): Promise<void>
}

/** What stands in a line of the audit as it is. */
const USER_NAME = /^[\x21-\x7e]{1,256}$/

/** Asks the cluster of a kubeconfig, over connections of its own; touches nothing before the first question. */
export function openCallerReviews(options: { kubeconfig: string; audience: string; timeoutMs: number }): CallerReviews {
  const { audience, timeoutMs } = options
  const kubeconfig = openKubeconfig(options.kubeconfig)
  const call = createCall(kubeconfig, timeoutMs)
  const closing = new AbortController()

  return {
    user: async (token) =>
      orSilent(
        await call(closing.signal, async (connection, callOptions) => {
          demandVerified(connection)
          const body = { spec: { token, audiences: [audience] } }
          const { status } = await connection.authentication.createTokenReview({ body }, callOptions)
          if (status === undefined) throw notTheApi()
          return userOf(status, audience)
        }),
      ),
    isAllowed: async ({ name, uid, groups, extra }, { name: of, ...access }) =>
      orSilent(
        await call(closing.signal, async (connection, callOptions) => {
          demandVerified(connection)
          const resourceAttributes = { version: 'v1', ...access, ...(of !== undefined && { name: of }) }
          const spec = { user: name, groups, extra, resourceAttributes, ...(uid !== undefined && { uid }) }
          const { status } = await connection.authorization.createSubjectAccessReview({ body: { spec } }, callOptions)
          if (status === undefined) throw notTheApi()
          return status.allowed === true && status.denied !== true
        }),
      ),
    async close() {
      closing.abort()
      await kubeconfig.close()
    },
  }
}

/**
 * An API server that knows nothing of audiences leaves them out, and takes any token of the cluster; so does one whose authenticator
 * is for no audience. Only an answer that names ours counts.
 */
export function userOf(
  { authenticated, audiences, user }: V1TokenReviewStatus,
  audience: string,
): ReviewedUser | undefined {
  if (authenticated !== true || user?.username === undefined || !USER_NAME.test(user.username)) return undefined
  if (!audiences?.includes(audience)) return undefined
  return { name: user.username, uid: user.uid, groups: user.groups ?? [], extra: user.extra ?? {} }
}

/** Who stands between could let anybody in. On this machine nobody does. */
function demandVerified({ kubeConfig }: Connection): void {
  const cluster = kubeConfig.getCurrentCluster()
  if (cluster?.skipTLSVerify !== true) return
  const { hostname } = new URL(cluster.server)
  if (hostname === '[::1]' || (isIP(hostname) === 4 && hostname.startsWith('127.'))) return
  throw new RegcreddError(
    'KUBERNETES_FAILED',
    'the kubeconfig does not verify the API server, which is to say who may act',
  )
}
