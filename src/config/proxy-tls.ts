import { z } from 'zod'
import { checkAbsolute, type ReadFile, readCertificates } from './files.ts'
import type { Report } from './problem.ts'

export const proxyTls = z.strictObject({
  certFile: z
    .string()
    .describe(
      'PEM file of the certificate with its chain, made for the address of `proxy.listen`. New files are taken up within seconds, without a restart.',
    ),
  keyFile: z
    .string()
    .describe('PEM file of its key, mode 0600, or 0640 with a group of the daemon’s own; others may not read it.'),
  clientCaFile: z
    .string()
    .describe(
      'PEM file of the authorities whose certificates callers show. Whoever has one with clientAuth of them is let in by `mtls`: give it an authority of its own.',
    ),
  crlFile: z
    .string()
    .optional()
    .describe(
      'PEM file of the lists of revoked certificates, one of each authority of a chain. After the `nextUpdate` of a list every certificate of its authority is refused.',
    ),
})

export type ProxyTls = z.output<typeof proxyTls>

/**
 * Checks the files of `proxy.tls`, and that it is there where client certificates are asked for. The key is read when it is listened
 * with: who checks a configuration need not be who may read it.
 */
export function checkProxyTls(
  { callers, tls }: { callers: string; tls?: ProxyTls | undefined },
  registries: readonly ({ callers?: string | undefined } | undefined)[],
  readFile: ReadFile,
  report: Report,
): void {
  if (tls === undefined) {
    const remedy = 'add proxy.tls with certFile, keyFile and clientCaFile'
    if (callers === 'mtls') report('proxy.callers', '"mtls" needs proxy.tls', remedy)
    for (const [index, registry] of registries.entries())
      if (registry?.callers === 'mtls') report(`registries[${index}].callers`, '"mtls" needs proxy.tls', remedy)
    return
  }
  readCertificates(tls.certFile, 'proxy.tls.certFile', readFile, report)
  readCertificates(tls.clientCaFile, 'proxy.tls.clientCaFile', readFile, report)
  checkAbsolute(tls.keyFile, 'proxy.tls.keyFile', report)
  if (tls.crlFile !== undefined) checkAbsolute(tls.crlFile, 'proxy.tls.crlFile', report)
}
