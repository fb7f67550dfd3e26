import { readFile } from 'node:fs/promises'
import { RegcreddError } from '../errors.ts'
import { CALL_TIMEOUT_MS, createCall } from '../mirror/call.ts'
import { systemCode } from '../mirror/fault.ts'
import { spread } from '../mirror/keep-up.ts'
import { openKubeconfig } from '../mirror/kubeconfig.ts'
import { Secret } from '../secret.ts'
import { type AccountClaims, keepToken, readClaims } from '../service-account-token.ts'
import type { Time } from './time.ts'

const DAY_MS = 86_400_000
/** So long a node may be off and still come back by itself. A cluster may give less. */
const LIFETIME_SECONDS = 7 * 86_400
const FIRST_RETRY_MS = 5_000
const LAST_RETRY_MS = 600_000

export type TokenRenewal = {
  /** Renews in time until the signal is aborted. Never throws. */
  run(signal: AbortSignal): Promise<void>
  close(): Promise<void>
}

/** How long until a token is to be renewed: a day after it was made, or after two thirds of its life where that is shorter. */
export function untilRenewalMs({ issuedAtMs, expiresAtMs }: AccountClaims, nowMs: number): number {
  const afterMs = Math.min(DAY_MS, ((expiresAtMs - issuedAtMs) * 2) / 3)
  // Never longer than that, however far the time of day was put back.
  return Math.min(Math.max(issuedAtMs + afterMs - nowMs, 0), afterMs)
}

/** Keeps the token in the kubeconfig's `tokenFile` alive by TokenRequest: each makes the next one, as long as none has run out. */
export function createTokenRenewal(parts: {
  kubeconfig: string
  time: Pick<Time, 'now' | 'sleep' | 'random'>
  onRenewed: (claims: AccountClaims) => void
  /** It is tried again. `expiresAtMs` is when the last one ends, where that is known. Must not throw. */
  onFault: (thrown: unknown, expiresAtMs: number | undefined) => void
}): TokenRenewal {
  const { time } = parts
  const kubeconfig = openKubeconfig(parts.kubeconfig)
  const call = createCall(kubeconfig, CALL_TIMEOUT_MS)

  async function current(): Promise<{ path: string; claims: AccountClaims }> {
    const { tokenFile } = await kubeconfig.connect()
    if (tokenFile === undefined) {
      throw new RegcreddError('KUBERNETES_FAILED', 'renewToken needs a kubeconfig whose user has a tokenFile')
    }
    const text = await readFile(tokenFile, 'utf8').catch((thrown: unknown) => {
      throw new RegcreddError('KUBERNETES_FAILED', `the tokenFile cannot be read (${systemCode(thrown)})`)
    })
    return { path: tokenFile, claims: readClaims(new Secret(text.trim())) }
  }

  /** Renews now. Throws KUBERNETES_FAILED. */
  async function renew(signal: AbortSignal): Promise<AccountClaims> {
    const { path, claims } = await current()
    const { namespace, account } = claims
    const answer = await call(signal, async ({ api }, options) => {
      const body = { spec: { audiences: [], expirationSeconds: LIFETIME_SECONDS } }
      const { status } = await api.createNamespacedServiceAccountToken({ namespace, name: account, body }, options)
      return new Secret(status?.token ?? '')
    })
    if (!answer.ok) throw new RegcreddError('KUBERNETES_FAILED', `no new token of ${account}: ${answer.fault.detail}`)
    const made = readClaims(answer.value)
    if (made.account !== account || made.namespace !== namespace) {
      throw new RegcreddError('KUBERNETES_FAILED', 'the new token is that of another ServiceAccount')
    }
    await keepToken(path, answer.value)
    parts.onRenewed(made)
    return made
  }

  return {
    async run(signal) {
      let failures = 0
      let expiresAtMs: number | undefined
      while (!signal.aborted) {
        let pauseMs: number
        try {
          const { claims } = await current()
          expiresAtMs = claims.expiresAtMs
          pauseMs = untilRenewalMs(claims, time.now().getTime())
          if (pauseMs === 0) {
            // By its own length, not by the time of day: that may be wrong here, and a loop must not come of it.
            const made = await renew(signal)
            expiresAtMs = made.expiresAtMs
            pauseMs = untilRenewalMs(made, made.issuedAtMs)
          }
          failures = 0
        } catch (thrown) {
          if (signal.aborted) return
          failures += 1
          pauseMs = Math.min(FIRST_RETRY_MS * 2 ** Math.min(failures - 1, 10), LAST_RETRY_MS)
          parts.onFault(thrown, expiresAtMs)
        }
        await time.sleep(Math.min(spread(pauseMs, time.random()), DAY_MS), signal).catch(() => undefined)
      }
    },
    close: () => kubeconfig.close(),
  }
}
