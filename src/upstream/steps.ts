import type { Registry } from '../config/config.ts'
import type { ErrorCode } from '../errors.ts'
import { type Challenge, chooseChallenge, parseChallenges } from '../registry/challenge.ts'
import { sameOrigin } from '../registry/origin.ts'
import { redirectTarget } from './redirect.ts'

const MAX_REDIRECTS = 5

/** With what a request was or is to be authorised. A bearer token is `fresh` if it was fetched for this very pull, not taken from the cache. */
export type Authorization =
  | { by: 'nobody' }
  | { by: 'basic'; version: string }
  | { by: 'bearer'; version: string | undefined; fresh: boolean }

export type Send = {
  to: URL
  method: 'GET' | 'HEAD'
  authorization: Authorization
  /** Asks for one byte, only to learn the size: for stores and registries that answer GET but not HEAD. */
  onlySize: boolean
}

/** A request that was sent, the status of its answer, and the scheme that a challenge of it asks for. */
export type Tried = Send & { status: number; asks: Challenge['scheme'] | undefined }

/** A pull under way: what is asked for, whom we may be, and what was tried so far. Plain values only. */
export type Course = {
  registry: Registry
  method: 'GET' | 'HEAD'
  kind: 'manifest' | 'blob' | 'tags' | 'referrers'
  /** The pull's URL at the registry itself. */
  url: URL
  /** Ids of the credential's versions, in the order in which they are to be tried; none for an anonymous pull. */
  versions: readonly string[]
  tried: readonly Tried[]
  /** Where the client may be sent to a store by itself: the host by which it asks us, where its own headers would follow. Undefined: never. */
  relay: { callerHost: string } | undefined
  /** Versions that may not log in (any more): refused by the token server, or held back since an earlier refusal. */
  barred: readonly (string | undefined)[]
}

export type AnswerHead = { location: string | undefined; challenges: string[] }

export type BearerChallenge = Extract<Challenge, { scheme: 'bearer' }>

export type Step =
  | ({ do: 'send' } & Send)
  /** Forget the cached token and send. */
  | ({ do: 'restart' } & Send)
  /** Fetch a token as this version (`undefined`: anonymously) and send with it. */
  | { do: 'authenticate'; challenge: BearerChallenge; version: string | undefined }
  /** Ask `/v2/` for the challenge that the registry left out. */
  | { do: 'ping' }
  | { do: 'relay' }
  /** Send the client there, after a look at where the name leads. */
  | { do: 'redirect'; to: URL }
  | { do: 'refuse'; code: ErrorCode; detail: string | undefined }

/** What the daemon has learned of a registry in earlier pulls. */
export type Habit = { asksBasic: boolean; hasToken: boolean }

/** The first request of a pull: with a token at hand, with Basic where the registry is known to ask for it, else without anything. */
export function firstStep(course: Course, habit: Habit): Step {
  const version = course.versions[0]
  if (habit.hasToken) return sendToRegistry(course, { by: 'bearer', version, fresh: false })
  if (habit.asksBasic && version !== undefined) return sendToRegistry(course, { by: 'basic', version })
  return sendToRegistry(course, { by: 'nobody' })
}

/**
 * Decides what follows from the answer to the last of `course.tried`; acts on nothing.
 * @throws REDIRECT_REFUSED
 */
export function nextStep(course: Course, answer: AnswerHead): Step {
  const last = lastOf(course)
  if (isRedirect(last.status)) return followRedirect(course, last, answer)
  if (hasLeft(course)) return afterStore(course, last)
  if (wantsSizeByGet(course, last)) return { do: 'send', ...last, method: 'GET', onlySize: true }
  // A cached token may have lost its rights: ECR says 403, ECR Public 400, all others 401. One new start without it.
  if (isStale(last) && [400, 401, 403].includes(last.status)) {
    return { ...sendToRegistry(course, { by: 'nobody' }), do: 'restart' }
  }
  // RFC 9110 § 11.6.1: only a 401 carries a challenge that asks for something; zot sends one on a 200.
  if (last.status !== 401) return { do: 'relay' }
  // The token server took the login and gave a token with fewer rights than were asked for: no other password helps.
  if (last.authorization.by === 'bearer') return refuseRepository(course)
  return afterChallenge(course, chooseChallenge(parseChallenges(answer.challenges)))
}

/** What follows from a challenge, wherever it came from. */
export function afterChallenge(course: Course, challenge: Challenge | undefined): Step {
  if (challenge === undefined) {
    return wasPinged(course) ? { do: 'refuse', code: 'CHALLENGE_UNSUPPORTED', detail: undefined } : { do: 'ping' }
  }
  const version = nextVersion(course)
  if (version === undefined && (course.versions.length > 0 || course.barred.includes(undefined))) return refuse(course)
  if (challenge.scheme === 'bearer') return { do: 'authenticate', challenge, version }
  return version === undefined ? refuse(course) : sendToRegistry(course, { by: 'basic', version })
}

function sendToRegistry(course: Course, authorization: Authorization): { do: 'send' } & Send {
  return { do: 'send', to: course.url, method: course.method, authorization, onlySize: false }
}

function lastOf(course: Course): Tried {
  const last = course.tried.at(-1)
  if (last === undefined) throw new TypeError('nothing was sent yet')
  return last
}

function isRedirect(status: number): boolean {
  return status === 301 || status === 302 || status === 303 || status === 307 || status === 308
}

/** Authorization stays only while every hop so far was at the registry's own origin, port included (CVE-2022-27774, GHSA-vh4v-2xq2-g5cg). */
function followRedirect(course: Course, last: Tried, answer: AnswerHead): Step {
  if (course.tried.filter(({ status }) => isRedirect(status)).length > MAX_REDIRECTS) {
    return { do: 'refuse', code: 'REDIRECT_REFUSED', detail: `more than ${MAX_REDIRECTS} redirects` }
  }
  const to = redirectTarget(last.to, answer.location, course.registry)
  if (mayRelay(course, last, to)) return { do: 'redirect', to }
  const authorization: Authorization =
    !hasLeft(course) && sameOrigin(to, course.url) ? last.authorization : { by: 'nobody' }
  return { do: 'send', to, method: last.method, authorization, onlySize: last.onlySize }
}

/**
 * Only the GET of a blob: a manifest decides what is pulled, and a HEAD has no body to save while a URL signed for GET refuses it. Not to the
 * host that the client asked, nor below it: there Go's and curl's clients go on showing what they showed us.
 */
function mayRelay({ relay, kind, url }: Course, { method, onlySize }: Tried, to: URL): boolean {
  if (relay === undefined || kind !== 'blob' || method !== 'GET' || onlySize || sameOrigin(to, url)) return false
  return to.hostname !== relay.callerHost && !to.hostname.endsWith(`.${relay.callerHost}`)
}

/** Whether the answer at hand comes from elsewhere, such as the registry's blob store; a new start at the registry comes back. */
function hasLeft(course: Course): boolean {
  return !sameOrigin(lastOf(course).to, course.url)
}

/** A store says 403 to a HEAD on a URL that was signed for GET, and to a signature that has run out. */
function afterStore(course: Course, last: Tried): Step {
  if (last.status !== 401 && last.status !== 403) return { do: 'relay' }
  if (last.method === 'HEAD') return { do: 'send', ...last, method: 'GET', onlySize: true }
  const redirects = course.tried.filter(({ to, status }) => isRedirect(status) && sameOrigin(to, course.url))
  const registry = redirects.at(-1)
  if (redirects.length > 1 || registry === undefined) return { do: 'refuse', code: 'STORE_REFUSED', detail: undefined }
  return {
    do: 'send',
    to: course.url,
    method: last.method,
    authorization: registry.authorization,
    onlySize: last.onlySize,
  }
}

function isStale({ authorization }: Tried): boolean {
  return authorization.by === 'bearer' && !authorization.fresh
}

/** ECR Public answers 401 to the HEAD of a blob that its GET serves. */
function wantsSizeByGet(course: Course, last: Tried): boolean {
  const { method, authorization, status } = last
  return course.kind === 'blob' && method === 'HEAD' && status === 401 && authorization.by === 'bearer'
}

function wasPinged(course: Course): boolean {
  return course.tried.some(({ to }) => to.pathname === '/v2/')
}

function nextVersion(course: Course): string | undefined {
  return course.versions.find((version) => !wasRefused(course, version))
}

function wasRefused(course: Course, version: string): boolean {
  if (course.barred.includes(version)) return true
  // Quay and GHCR answer 401 to Basic whatever the password is, and ask for Bearer.
  return course.tried.some(
    ({ authorization, status, asks }) =>
      status === 401 && authorization.by === 'basic' && authorization.version === version && asks !== 'bearer',
  )
}

/** The last word: never a challenge to the caller, whose own secret would then be sent (RFC 9110 § 15.5.2 asks for one on 401, so it is a 403). */
function refuse(course: Course): Step {
  return {
    do: 'refuse',
    code: course.versions.length === 0 ? 'ANONYMOUS_REFUSED' : 'CREDENTIAL_REJECTED',
    detail: undefined,
  }
}

function refuseRepository({ versions }: Course): Step {
  const code = versions.length === 0 ? 'ANONYMOUS_REFUSED' : 'REPOSITORY_REFUSED'
  return { do: 'refuse', code, detail: undefined }
}
