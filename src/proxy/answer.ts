import type { ServerResponse } from 'node:http'
import type { Registry } from '../config/config.ts'
import { type RegcreddError, toRegcreddError } from '../errors.ts'
import { ociErrorBody } from '../registry/oci-error.ts'
import type { BlobSizes } from './blob-sizes.ts'
import type { Outcome } from './exchange.ts'
import { callerHeaders } from './headers.ts'
import { localLink } from './link.ts'
import type { Pull } from './pull.ts'
import { sendOn } from './redirect.ts'
import type { Served } from './serve.ts'

/** Passes an answer on to the caller; gives what became of it. Never throws. */
export async function passOn(
  pull: Pull,
  served: Served,
  response: ServerResponse,
  { registry, blobSizes }: { registry: Registry; blobSizes: BlobSizes },
): Promise<Outcome> {
  const { answer, digest, location } = served
  if (location !== undefined)
    return sendOn(pull, { location, digest }, blobSizes.sizeOf(registry.name, pull.reference), response)
  const headers = callerHeaders(answer.headers, pull, digest)
  const link = answer.headers['link']
  if (typeof link === 'string') headers['link'] = localLink(link, pull, served.askedAt)
  const shown = typeof headers['docker-content-digest'] === 'string' ? headers['docker-content-digest'] : undefined
  let { status } = answer
  if (served.onlySize) {
    const size = sizeOf(answer.headers['content-range'])
    delete headers['content-range']
    if (status === 206 && size !== undefined) {
      status = 200
      headers['content-length'] = size
    }
    response.writeHead(status, headers).end()
    answer.discard()
    return { status, bytes: 0, complete: true, digest: shown, code: undefined, cause: undefined }
  }
  if (headers['link'] === undefined) delete headers['link']
  if (status === 416) {
    // docker-registry 2.8 announces the whole blob here and sends a few words.
    delete headers['content-type']
    delete headers['content-encoding']
    response.writeHead(status, { ...headers, 'content-length': 0 }).end()
    answer.discard()
    return { status, bytes: 0, complete: true, digest: shown, code: undefined, cause: undefined }
  }
  response.writeHead(status, headers)
  // Only where blobs may go past us are their sizes worth a look.
  const isWorthReading = registry.redirects === 'relay' && pull.kind === 'manifest' && status === 200
  const reader = isWorthReading ? blobSizes.reader(registry.name) : undefined
  const { answerTimeoutMs } = registry.limits
  const { bytes, complete, brokenBy } = await answer.stream(response, answerTimeoutMs, reader?.onPiece)
  if (complete) reader?.read()
  const code = brokenBy === 'registry' ? 'UPSTREAM_UNREACHABLE' : undefined
  return { status, bytes, complete, digest: shown, code, cause: undefined }
}

/** Tells the caller of an error in the form that registry clients read (distribution-spec § Error Codes). Never throws. */
export function refuse(thrown: unknown, pull: Pull | undefined, response: ServerResponse): Outcome {
  const error = toRegcreddError(thrown)
  const body = ociErrorBody(error)
  if (response.headersSent) response.destroy()
  else {
    response.writeHead(error.status, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
      ...extraHeaders(error),
    })
    response.end(body)
  }
  const said = response.req.method === 'HEAD' || pull?.method === 'HEAD' ? 0 : Buffer.byteLength(body)
  return { status: error.status, bytes: said, complete: true, digest: undefined, code: error.code, cause: error }
}

function extraHeaders(error: RegcreddError): Record<string, string> {
  return {
    // The one challenge that a caller is given on purpose: containerd answers it with the pod's own pull secret.
    ...(error.code === 'PULL_SECRET_REQUIRED' ? { 'www-authenticate': 'Basic realm="regcredd"' } : {}),
    ...(error.code === 'METHOD_UNSUPPORTED' ? { allow: 'GET, HEAD' } : {}),
    ...(error.retryAfterS === undefined ? {} : { 'retry-after': String(error.retryAfterS) }),
  }
}

function sizeOf(contentRange: string | string[] | undefined): string | undefined {
  return /^bytes 0-0\/(\d+)$/.exec(String(contentRange))?.[1]
}
