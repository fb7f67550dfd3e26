import type { Rig, Target } from './rig.ts'
import { median } from './stats.ts'
import { runWrk } from './wrk.ts'

/**
 * How near the measured figures came to what the client can take at all: the same wrk, with nothing but files served by nginx before it, TLS
 * for what was asked directly, plain for what came through a proxy. Near 100 % the client would be what was measured.
 */
export async function clientShare(
  { light, blobPath, manifestPath, folder }: Rig,
  values: ReadonlyMap<string, number[]>,
  seconds: number,
): Promise<string[]> {
  if (light === undefined) return []
  const most = async ({ origin, headers }: Target) => {
    const [blob, small] = [`${origin}${blobPath}`, `${origin}${manifestPath}`]
    return {
      blob: (await runWrk({ url: blob, headers, connections: 1, seconds }, folder)).megabytesPerSecond,
      small: (await runWrk({ url: small, headers, connections: 16, seconds }, folder)).requestsPerSecond,
    }
  }
  const plain = await most(light.plain)
  const tls = await most(light.direct)
  const share = (key: string, limit: number) => Math.round((100 * median(values.get(key) ?? [0])) / limit)
  const blob = Math.max(share('blob, 1, direct', tls.blob), share('blob, 1, regcredd', plain.blob))
  const small = Math.max(share('small real, direct', tls.small), share('small light, regcredd', plain.small))
  return [
    `the client (wrk) alone takes ${plain.blob.toFixed(0)} MB/s and ${plain.small.toFixed(0)} GET/s of files, ${tls.blob.toFixed(0)} and ${tls.small.toFixed(0)} over TLS; regcredd and direct access came to ${blob} % and ${small} % of that at the most`,
  ]
}
