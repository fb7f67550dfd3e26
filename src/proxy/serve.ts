import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Registry } from '../config/config.ts'
import { RegcreddError } from '../errors.ts'
import type { Credential } from '../keychain/credential.ts'
import { type Challenge, chooseChallenge, parseChallenges } from '../registry/challenge.ts'
import { originOf } from '../registry/origin.ts'
import type { LoginBreaker, Trial } from '../upstream/login-breaker.ts'
import type { LimitedPart } from '../upstream/rate-limits.ts'
import {
  afterChallenge,
  type BearerChallenge,
  type Course,
  firstStep,
  nextStep,
  type Send,
  type Step,
  type Tried,
} from '../upstream/steps.ts'
import type { Tokens } from '../upstream/tokens.ts'
import type { Exchange } from './exchange.ts'
import { upstreamHeaders } from './headers.ts'
import { type Lessons, learn } from './learn.ts'
import { authorizationHeader, heldBack, lineUp, loginOf, retryTimes } from './lent.ts'
import { type Pull, upstreamPath } from './pull.ts'
import { relayOf } from './redirect.ts'
import type { Sender } from './sender.ts'
import type { UpstreamAnswer } from './upstream-answer.ts'

/** More than any honest registry needs: a challenge, a ping, five redirects, a second look at the store, three versions. */
const MAX_TURNS = 16

export type ServeParts = Lessons & {
  sender: Sender
  tokens: Tokens
  breaker: LoginBreaker
  /** @throws KEYCHAIN_LOCKED, KEYCHAIN_UNAVAILABLE, KEYCHAIN_CORRUPT */
  lend(name: string): Promise<Credential | undefined>
}

/** The answer to pass on, as it came: whether only its size was asked for, where it was asked, and the registry's own digest header. */
export type Served = {
  answer: UpstreamAnswer
  onlySize: boolean
  askedAt: URL
  digest: string | undefined
  /** Where the client is sent, in place of the answer. */
  location: URL | undefined
}

/**
 * Takes the steps of one pull until there is an answer to pass on; its body is unread.
 * @throws what the catalogue has for upstream, credential and keychain
 */
export async function servePull(
  exchange: Exchange,
  pull: Pull,
  registry: Registry,
  request: IncomingMessage,
  response: ServerResponse,
  parts: ServeParts,
): Promise<Served> {
  const { tokens, breaker } = parts
  const { name } = registry
  const credential = await parts.lend(name)
  if (credential?.current === undefined && registry.credential === 'required')
    throw new RegcreddError('CREDENTIAL_MISSING')
  const part = pull.kind === 'blob' ? 'blobs' : 'manifests'
  refuseWhileLimited(registry, part, parts)
  const retryAt = retryTimes(breaker, name, pull.repository)
  const { versions, barred } = lineUp(credential === undefined ? [] : parts.preference.order(credential), {
    retryAt,
    hasToken: (version) => tokens.peek(registry, pull.repository, version) !== undefined,
  })
  const url = new URL(upstreamPath(pull), registry.upstream)
  const tried: Tried[] = []
  const kind = pull.kind === 'ping' ? 'tags' : pull.kind
  const relay = relayOf(registry, request)
  const course: Course = { registry, method: pull.method, kind, url, versions, tried, relay, barred }
  let digest: string | undefined
  let token = tokens.peek(registry, pull.repository, versions[0])
  let denial: RegcreddError | undefined

  async function sendStep(send: Send): Promise<UpstreamAnswer> {
    const headers = upstreamHeaders(request.headers, send.to)
    if (send.onlySize) Object.assign(headers, { range: 'bytes=0-0', 'accept-encoding': 'identity' })
    const authorization = authorizationHeader(send.authorization, credential, token)
    if (authorization !== undefined) headers['authorization'] = authorization
    exchange.upstream = originOf(send.to)
    exchange.version = send.authorization.by === 'nobody' ? undefined : send.authorization.version
    const answer = await parts.sender.send(
      { registry, method: send.method, to: send.to, headers },
      response,
      exchange.signal,
    )
    const asks = answer.status === 401 ? challengeOf(answer)?.scheme : undefined
    tried.push({ ...send, status: answer.status, asks })
    return answer
  }

  /** Leave to log in as this version; undefined: it is held back, and barred from now on. */
  async function claim(version: string): Promise<Trial | undefined> {
    const trial = await breaker.claim(name, version, pull.repository, exchange.signal)
    if (trial === undefined) barred.push(version)
    return trial
  }

  async function authenticate(challenge: BearerChallenge, version: string | undefined): Promise<Step> {
    refuseWhileLimited(registry, 'tokens', parts)
    using trial = version === undefined ? undefined : await claim(version)
    if (version !== undefined && trial === undefined) return afterChallenge(course, challenge)
    const login = loginOf(credential, version)
    try {
      token = await tokens.exchange(
        { registry, repository: pull.repository, challenge, requestUrl: url, login },
        exchange.signal,
      )
    } catch (thrown) {
      if (!(thrown instanceof RegcreddError)) throw thrown
      if (thrown.retryAfterS !== undefined) parts.rateLimits.met(name, 'tokens', thrown.retryAfterS * 1000)
      if (thrown.code !== 'CREDENTIAL_REJECTED' && thrown.code !== 'REPOSITORY_REFUSED') throw thrown
      if (thrown.code === 'CREDENTIAL_REJECTED') trial?.rejected()
      else trial?.denied()
      denial = thrown
      barred.push(version)
      if (credential !== undefined && version !== undefined) parts.preference.refused(credential, version)
      return afterChallenge(course, challenge)
    }
    trial?.accepted()
    const authorization = { by: 'bearer', version, fresh: true } as const
    return { do: 'send', to: url, method: pull.method, authorization, onlySize: false }
  }

  let step = firstStep(course, { asksBasic: parts.asksBasic.has(name), hasToken: token !== undefined })
  for (let turn = 0; turn < MAX_TURNS; turn++) {
    if (step.do === 'refuse') {
      if (step.code !== 'CREDENTIAL_REJECTED') throw new RegcreddError(step.code, step.detail)
      throw denial?.code === 'REPOSITORY_REFUSED' ? denial : heldBack(versions, retryAt)
    }
    if (step.do === 'relay' || step.do === 'redirect') throw new TypeError('a relay step follows an answer only')
    if (step.do === 'authenticate') {
      step = await authenticate(step.challenge, step.version)
      continue
    }
    if (step.do === 'ping') {
      const to = new URL('/v2/', url)
      const ping = await sendStep({ to, method: 'GET', authorization: { by: 'nobody' }, onlySize: false })
      ping.discard()
      step = afterChallenge(course, ping.status === 401 ? challengeOf(ping) : undefined)
      continue
    }
    const sent: Send = step
    const { authorization } = sent
    using trial = authorization.by === 'basic' ? await claim(authorization.version) : undefined
    if (authorization.by === 'basic' && trial === undefined) {
      step = afterChallenge(course, { scheme: 'basic', realm: undefined })
      continue
    }
    if (step.do === 'restart') tokens.forget(registry, pull.repository, versions[0])
    const answer = await sendStep(sent)
    learn(answer, { sent, asks: tried.at(-1)?.asks, part, trial, credential, registry, exchange }, parts)
    if (originOf(sent.to) === originOf(url)) digest = single(answer.headers['docker-content-digest']) ?? digest
    step = nextStepFrom(course, answer)
    const served = { answer, onlySize: sent.onlySize, askedAt: sent.to, digest, location: undefined }
    if (step.do === 'relay') return served
    answer.discard()
    if (step.do === 'redirect') {
      await parts.sender.checkTarget(registry, step.to)
      return { ...served, location: step.to }
    }
  }
  throw new RegcreddError('UPSTREAM_MALFORMED', 'the registry asks for one thing after another')
}

function refuseWhileLimited(registry: Registry, part: LimitedPart, { rateLimits }: ServeParts): void {
  const retryAfterS = rateLimits.waitSeconds(registry.name, part)
  if (retryAfterS === undefined) return
  throw new RegcreddError('TOO_MANY_REQUESTS', `it is asked again in ${retryAfterS} s`, { retryAfterS })
}

function nextStepFrom(course: Course, answer: UpstreamAnswer): Step {
  try {
    return nextStep(course, {
      location: single(answer.headers['location']),
      challenges: answer.challenges,
    })
  } catch (thrown) {
    answer.discard()
    throw thrown
  }
}

function challengeOf({ challenges }: UpstreamAnswer): Challenge | undefined {
  return chooseChallenge(parseChallenges(challenges))
}

function single(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' ? header : header?.[0]
}
