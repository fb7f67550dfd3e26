import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { isIP } from 'node:net'
import { LRUCache } from 'lru-cache'
import type { Registry } from '../config/config.ts'
import { createLane, type Lane } from '../lane/lane.ts'
import { portOf, sameOrigin, withoutBrackets } from '../registry/origin.ts'
import type { Agents } from '../upstream/agents.ts'
import { toConnectionError } from '../upstream/connection-error.ts'
import { createRelay } from './relay.ts'
import { streamedAnswer } from './stream.ts'
import type { UpstreamAnswer } from './upstream-answer.ts'

export type SendRequest = { registry: Registry; method: 'GET' | 'HEAD'; to: URL; headers: OutgoingHttpHeaders }

export type Sender = {
  /**
   * Sends one request without a body and gives the head of its answer.
   * @throws UPSTREAM_UNREACHABLE, UPSTREAM_TIMEOUT, UPSTREAM_MALFORMED, ADDRESS_REFUSED
   */
  send(request: SendRequest, response: ServerResponse, signal: AbortSignal): Promise<UpstreamAnswer>
  /**
   * Checks where a client would be sent.
   * @throws ADDRESS_REFUSED, UPSTREAM_UNREACHABLE
   */
  checkTarget(registry: Registry, to: URL): Promise<void>
  close(): void
}

/** For so long answers of one kind are not asked for by the lane after one that it did not take: each refusal costs a second request. */
const REFUSED_FOR_MS = 600_000

/**
 * Two ways to the same answers, both obeying the same steps: the fast lane for plain answers of the registry itself, http-proxy for
 * redirect targets and for whatever the lane does not take, which is then asked for once more.
 */
export function createSender(agentsOf: (registry: Registry) => Agents): Sender {
  const relay = createRelay()
  const lanes = new Map<Registry, Lane>()
  const notPlain = new LRUCache<string, true>({ max: 1_000, ttl: REFUSED_FOR_MS })

  function laneOf(registry: Registry): Lane {
    const known = lanes.get(registry) ?? openLane(registry, agentsOf(registry))
    lanes.set(registry, known)
    return known
  }
  return {
    async send({ registry, method, to, headers }, response, signal) {
      const { answerTimeoutMs } = registry.limits
      const kind = `${registry.name} ${method} ${to.pathname.split('/').at(-2)}`
      // The lane's own connection cannot begin with a proxy's answer.
      const isForLane = sameOrigin(to, registry.upstream) && agentsOf(registry).isStraight
      if (isForLane && !notPlain.has(kind)) {
        const request = { method, path: to.pathname + to.search, headers, answerTimeoutMs }
        const taken = await laneOf(registry).send(request, signal).catch(rethrow)
        if (taken === 'refused') notPlain.set(kind, true)
        if (typeof taken !== 'string') {
          const { status, headers: fields, challenges } = taken.head
          const { body } = taken
          return {
            status,
            headers: fields,
            challenges,
            stream: (caller, idleTimeoutMs, onPiece) => body.stream(caller, idleTimeoutMs, onPiece),
            discard: () => body.discard(),
          }
        }
      }
      const agent = agentsOf(registry).towards(to)
      return streamedAnswer(await relay.send({ method, to, headers, agent, answerTimeoutMs }, response, signal))
    },
    checkTarget: (registry, to) => agentsOf(registry).checkTarget(to),
    close() {
      for (const lane of lanes.values()) lane.close()
    },
  }
}

function openLane({ upstream, limits }: Registry, { secure }: Agents): Lane {
  const host = withoutBrackets(upstream.hostname)
  // node:https names the host by itself, node:tls does not.
  const tls = secure && (() => ({ ...(isIP(host) === 0 && { servername: host }), ...secure() }))
  return createLane({ host, port: portOf(upstream), tls, connectTimeoutMs: limits.connectTimeoutMs }, limits)
}

function rethrow(thrown: unknown): never {
  throw toConnectionError(thrown)
}
