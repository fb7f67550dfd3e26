import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Registry } from '../config/config.ts'
import type { Course } from '../upstream/steps.ts'
import { CALLER_TOKEN_HEADER } from './caller.ts'
import type { Outcome } from './exchange.ts'
import type { Pull } from './pull.ts'

/**
 * Whether the client of this request may be sent to a store by itself. Not one that shows the caller token in our own header: containerd, and
 * every client built on Go's net/http, takes such a header along to whatever host it is sent to; Authorization it leaves behind.
 */
export function relayOf({ redirects }: Registry, { headers }: IncomingMessage): Course['relay'] {
  if (redirects !== 'relay' || headers[CALLER_TOKEN_HEADER] !== undefined) return undefined
  return { callerHost: (headers.host ?? '').replace(/:\d+$/, '').toLowerCase() }
}

/** Sends the client on. What the registry's own answer said is not passed on but for the digest, and nobody may keep the signed URL. */
export function sendOn(
  pull: Pull,
  { location, digest }: { location: URL; digest: string | undefined },
  sizeBytes: number | undefined,
  response: ServerResponse,
): Outcome {
  response
    .writeHead(307, {
      location: location.href,
      'content-length': 0,
      'cache-control': 'no-store',
      'docker-distribution-api-version': 'registry/2.0',
      ...(digest !== undefined && { 'docker-content-digest': digest }),
      ...(pull.host !== '' && { 'oci-namespace': pull.host }),
    })
    .end()
  return { status: 307, bytes: 0, complete: true, redirected: { sizeBytes }, digest, code: undefined, cause: undefined }
}
