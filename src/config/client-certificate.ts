import type { Registry } from './config.ts'
import { checkAbsolute, type ReadFile, readCertificates } from './files.ts'
import type { Report } from './problem.ts'

/** The two files of a client certificate. The key is read where it is used: who checks a configuration need not be who may read it. */
export function resolveClientCertificate(
  { clientCertFile, clientKeyFile }: { clientCertFile?: string | undefined; clientKeyFile?: string | undefined },
  at: string,
  readFile: ReadFile,
  report: Report,
): Registry['clientCertificate'] {
  if (clientCertFile !== undefined) readCertificates(clientCertFile, `${at}.clientCertFile`, readFile, report)
  if (clientKeyFile !== undefined) checkAbsolute(clientKeyFile, `${at}.clientKeyFile`, report)
  if (clientCertFile !== undefined && clientKeyFile !== undefined)
    return { certFile: clientCertFile, keyFile: clientKeyFile }
  if (clientCertFile !== undefined) report(`${at}.clientKeyFile`, 'is missing', 'a certificate is shown with its key')
  if (clientKeyFile !== undefined) report(`${at}.clientCertFile`, 'is missing', 'a key is of no use without it')
  return undefined
}
