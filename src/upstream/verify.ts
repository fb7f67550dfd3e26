import type { Registry } from '../config/config.ts'
import { RegcreddError, toRegcreddError } from '../errors.ts'
import { type Challenge, chooseChallenge, parseChallenges } from '../registry/challenge.ts'
import { pingScope, pullScope } from '../registry/scope.ts'
import { type Answer, ask } from './ask.ts'
import { basicHeader, bearerHeader, type Login } from './authorization.ts'
import { fetchToken, type UpstreamParts } from './token-fetch.ts'

/** What the registry says to a login; the same shape as the rotation's port, which the daemon connects. */
export type LoginVerdict =
  | { outcome: 'accepted' }
  | { outcome: 'rejected'; detail: string }
  | { outcome: 'unreachable'; detail: string }
  | { outcome: 'unverifiable'; detail: string }

export type VerifyLogin = (key: string, login: Login, signal: AbortSignal) => Promise<LoginVerdict>

type Trial = { registry: Registry; login: Login; parts: UpstreamParts; signal: AbortSignal }
/** `repository`: the canary, or undefined for `/v2/`. */
type Place = { to: URL; repository: string | undefined }

const OPEN: LoginVerdict = {
  outcome: 'unverifiable',
  detail: 'the registry asks for no credential there; a private repository as canary would tell',
}

/**
 * Makes the function that tries a login at the registry with that name. It asks `/v2/`, and the tags of the registry's canary if
 * it has one: first as nobody, for the challenge, then with the login or with a token fetched for it and never kept. Any
 * refusal there rejects the login; what is neither refused nor let in decides nothing. The function never throws.
 */
export function createVerify(registries: Registry[], parts: UpstreamParts): VerifyLogin {
  return async (key, login, signal) => {
    const registry = registries.find(({ name }) => name === key)
    if (registry === undefined) return { outcome: 'unverifiable', detail: 'this registry is not listed' }
    try {
      return await verifyAt({ registry, login, parts, signal })
    } catch (thrown) {
      const { code, detail, message } = toRegcreddError(thrown)
      return code === 'CREDENTIAL_REJECTED' || code === 'REPOSITORY_REFUSED'
        ? { outcome: 'rejected', detail: detail ?? message }
        : { outcome: 'unreachable', detail: message }
    }
  }
}

async function verifyAt(trial: Trial): Promise<LoginVerdict> {
  const { upstream, canary } = trial.registry
  const first = await verifyPlace(trial, { to: new URL('/v2/', upstream), repository: undefined })
  if (canary === undefined || first.outcome === 'rejected' || first.outcome === 'unreachable') return first
  const second = await verifyPlace(trial, { to: new URL(`/v2/${canary}/tags/list?n=1`, upstream), repository: canary })
  return second.outcome === 'unverifiable' ? first : second
}

async function verifyPlace(trial: Trial, place: Place): Promise<LoginVerdict> {
  const asNobody = await askRegistry(trial, place, {})
  if (isLetIn(asNobody, place)) return OPEN
  if (asNobody.status !== 401) return undecided(asNobody)
  const challenge = chooseChallenge(parseChallenges(asNobody.challenges))
  if (challenge === undefined) throw new RegcreddError('CHALLENGE_UNSUPPORTED')
  const answer = await askRegistry(trial, place, { authorization: await authorizationFor(trial, place, challenge) })
  if (isLetIn(answer, place)) return { outcome: 'accepted' }
  // ECR says 403 to a password that has ended.
  if (answer.status !== 401 && answer.status !== 403) return undecided(answer)
  const what = place.repository === undefined ? '' : ' to the canary'
  return { outcome: 'rejected', detail: `the registry answered ${answer.status}${what}` }
}

async function authorizationFor(trial: Trial, { to, repository }: Place, challenge: Challenge): Promise<string> {
  const { registry, login, parts, signal } = trial
  if (challenge.scheme === 'basic') return basicHeader(login.username, login.secret)
  const scope = repository === undefined ? pingScope(challenge.scope) : pullScope(repository, challenge.scope)
  const { token } = await fetchToken({ registry, challenge, requestUrl: to, scope, login }, parts, signal)
  return bearerHeader(token)
}

function askRegistry(
  { registry, parts, signal }: Trial,
  { to }: Place,
  headers: { authorization?: string },
): Promise<Answer> {
  const { connectTimeoutMs, answerTimeoutMs } = registry.limits
  return ask(
    {
      method: 'GET',
      to,
      headers: { accept: '*/*', 'user-agent': parts.userAgent, ...headers },
      agent: parts.agentsOf(registry).registry,
      timeoutMs: connectTimeoutMs + answerTimeoutMs,
      maxBodyBytes: 0,
    },
    signal,
  )
}

/** A canary that is not there was looked for, so whoever asked was let in. */
function isLetIn({ status }: Answer, { repository }: Place): boolean {
  return (status >= 200 && status < 300) || (status === 404 && repository !== undefined)
}

function undecided({ status }: Answer): LoginVerdict {
  const hint = status === 404 ? ': no registry is served there' : status < 400 ? ': it redirects elsewhere' : ''
  return { outcome: 'unreachable', detail: `the registry answered ${status}${hint}` }
}
