import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Registry } from '../config/config.ts'
import { RegcreddError } from '../errors.ts'
import type { Credential, Version } from '../keychain/credential.ts'
import { type Challenge, chooseChallenge, parseChallenges } from '../registry/challenge.ts'
import { originOf } from '../registry/origin.ts'
import type { Secret } from '../secret.ts'
import type { Agents } from '../upstream/agents.ts'
import { basicHeader, bearerHeader } from '../upstream/authorization.ts'
import {
  type Authorization,
  afterChallenge,
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
import type { Preference } from './preference.ts'
import { type Pull, upstreamPath } from './pull.ts'
import type { Relay } from './relay.ts'
import { discard } from './stream.ts'

/** More than any honest registry needs: a challenge, a ping, five redirects, a second look at the store, three versions. */
const MAX_TURNS = 16

export type ServeParts = {
  relay: Relay
  tokens: Tokens
  preference: Preference
  agentsOf(registry: Registry): Agents
  /** @throws KEYCHAIN_LOCKED, KEYCHAIN_UNAVAILABLE, KEYCHAIN_CORRUPT */
  lend(name: string): Promise<Credential | undefined>
  /** Names of registries that asked for Basic when they were last asked. */
  asksBasic: Set<string>
}

/** The answer to pass on, as it came: whether only its size was asked for, where it was asked, and the registry's own digest header. */
export type Served = { answer: IncomingMessage; onlySize: boolean; askedAt: URL; digest: string | undefined }

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
  const credential = await parts.lend(registry.name)
  if (credential?.current === undefined && registry.credential === 'required')
    throw new RegcreddError('CREDENTIAL_MISSING')
  const url = new URL(upstreamPath(pull), registry.upstream)
  const tried: Tried[] = []
  const tokenRefused: (string | undefined)[] = []
  const versions = credential === undefined ? [] : parts.preference.order(credential)
  const kind = pull.kind === 'ping' ? 'tags' : pull.kind
  const course: Course = { registry, method: pull.method, kind, url, versions, tried, tokenRefused }
  let digest: string | undefined
  let token = parts.tokens.peek(registry, pull.repository, versions[0])

  async function sendStep(send: Send): Promise<IncomingMessage> {
    const headers = upstreamHeaders(request.headers, send.to)
    if (send.onlySize) headers['range'] = 'bytes=0-0'
    const authorization = authorizationHeader(send.authorization, credential, token)
    if (authorization !== undefined) headers['authorization'] = authorization
    const agent = parts.agentsOf(registry).towards(send.to)
    exchange.upstream = originOf(send.to)
    exchange.version = send.authorization.by === 'nobody' ? undefined : send.authorization.version
    const { answerTimeoutMs } = registry.limits
    const answer = await parts.relay.send(
      { method: send.method, to: send.to, headers, agent, answerTimeoutMs },
      response,
      exchange.signal,
    )
    tried.push({ ...send, status: answer.statusCode ?? 0 })
    return answer
  }

  async function authenticate(
    challenge: Extract<Challenge, { scheme: 'bearer' }>,
    version: string | undefined,
  ): Promise<Step> {
    const login = loginOf(credential, version)
    try {
      token = await parts.tokens.exchange(
        { registry, repository: pull.repository, challenge, requestUrl: url, login },
        exchange.signal,
      )
    } catch (thrown) {
      if (!(thrown instanceof RegcreddError) || thrown.code !== 'CREDENTIAL_REJECTED') throw thrown
      tokenRefused.push(version)
      noteRefusal(credential, version, parts)
      return afterChallenge(course, challenge)
    }
    return {
      do: 'send',
      to: url,
      method: pull.method,
      authorization: { by: 'bearer', version, fresh: true },
      onlySize: false,
    }
  }

  let step = firstStep(course, {
    asksBasic: parts.asksBasic.has(registry.name),
    hasToken: token !== undefined,
  })
  for (let turn = 0; turn < MAX_TURNS; turn++) {
    if (step.do === 'refuse') throw new RegcreddError(step.code, step.detail)
    if (step.do === 'relay') throw new TypeError('a relay step follows an answer only')
    if (step.do === 'authenticate') {
      step = await authenticate(step.challenge, step.version)
      continue
    }
    if (step.do === 'ping') {
      const ping = await sendStep({
        to: new URL('/v2/', url),
        method: 'GET',
        authorization: { by: 'nobody' },
        onlySize: false,
      })
      discard(ping)
      step = afterChallenge(course, ping.statusCode === 401 ? challengeOf(ping) : undefined)
      continue
    }
    if (step.do === 'restart') parts.tokens.forget(registry, pull.repository, versions[0])
    const answer = await sendStep(step)
    learn(answer, step, credential, registry, parts)
    if (originOf(step.to) === originOf(url)) digest = single(answer.headers['docker-content-digest']) ?? digest
    const sent: Send = step
    step = nextStepFrom(course, answer)
    if (step.do === 'relay') return { answer, onlySize: sent.onlySize, askedAt: sent.to, digest }
    discard(answer)
  }
  throw new RegcreddError('UPSTREAM_MALFORMED', 'the registry asks for one thing after another')
}

function nextStepFrom(course: Course, answer: IncomingMessage): Step {
  try {
    return nextStep(course, {
      location: answer.headers.location,
      challenges: answer.headersDistinct['www-authenticate'] ?? [],
    })
  } catch (thrown) {
    discard(answer)
    throw thrown
  }
}

function challengeOf(answer: IncomingMessage): Challenge | undefined {
  return chooseChallenge(parseChallenges(answer.headersDistinct['www-authenticate'] ?? []))
}

function loginOf(
  credential: Credential | undefined,
  id: string | undefined,
): (Version & { version: string }) | undefined {
  const found = credential?.versions.find((version) => version.id === id)
  return found === undefined ? undefined : { ...found, version: found.id }
}

/** The value of Authorization, made at the last moment; `undefined` where nothing is to be sent. */
function authorizationHeader(
  authorization: Authorization,
  credential: Credential | undefined,
  token: Secret | undefined,
): string | undefined {
  if (authorization.by === 'nobody') return undefined
  if (authorization.by === 'bearer') return token === undefined ? undefined : bearerHeader(token)
  const login = loginOf(credential, authorization.version)
  return login === undefined ? undefined : basicHeader(login.username, login.secret)
}

/** Keeps what this answer teaches for later pulls: how the registry asks, and which version it takes. */
function learn(
  answer: IncomingMessage,
  sent: Send,
  credential: Credential | undefined,
  registry: Registry,
  parts: ServeParts,
): void {
  const { authorization } = sent
  if (answer.statusCode === 401) {
    const scheme = challengeOf(answer)?.scheme
    if (scheme === 'basic' && authorization.by !== 'bearer') parts.asksBasic.add(registry.name)
    if (scheme === 'bearer') parts.asksBasic.delete(registry.name)
    if (authorization.by === 'basic') noteRefusal(credential, authorization.version, parts)
    return
  }
  if (authorization.by === 'nobody' || authorization.version === undefined || credential === undefined) return
  parts.preference.won(credential, authorization.version)
}

function noteRefusal(credential: Credential | undefined, version: string | undefined, parts: ServeParts): void {
  if (credential !== undefined && version !== undefined) parts.preference.refused(credential, version)
}

function single(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' ? header : header?.[0]
}
