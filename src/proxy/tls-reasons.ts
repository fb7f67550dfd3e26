import { endingLine } from '../key-pair.ts'
import type { Ending, TlsFiles } from './tls-files.ts'

const WHAT: Record<Ending['key'], string> = {
  certFile: 'the certificate of proxy.tls.certFile',
  keyFile: 'the key of proxy.tls.keyFile',
  clientCaFile: 'an authority of proxy.tls.clientCaFile',
  crlFile: 'the list of revoked certificates of proxy.tls.crlFile',
}
const AFTER: Record<Ending['key'], string> = {
  certFile: 'no client takes it',
  keyFile: 'no client takes it',
  clientCaFile: 'certificates that it signed are refused',
  crlFile: 'all certificates of its authority are refused',
}

/** Why the files of `proxy.tls` keep pulls from being served, or soon will; a line each. */
export function tlsReasons(
  files: Pick<TlsFiles, 'now' | 'fault'>,
  wallNowMs: number,
): { faults: string[]; warnings: string[] } {
  const faults: string[] = []
  const warnings: string[] = []
  const { endings } = files.now()
  const isOver = ({ to }: Ending) => to.getTime() <= wallNowMs
  for (const ending of endings) {
    const line = endingLine({ what: WHAT[ending.key], after: AFTER[ending.key] }, ending, wallNowMs)
    if (line === undefined) continue
    // While authorities follow each other, an old one may stand in the file for long.
    const hasHeir = ending.key === 'clientCaFile' && endings.some((one) => one.key === ending.key && !isOver(one))
    if (isOver(ending) && !hasHeir) faults.push(line)
    else warnings.push(`warning: ${line}`)
  }
  const fault = files.fault()
  if (fault !== undefined) warnings.push(`warning: the files from before serve on; ${fault.detail}`)
  return { faults, warnings }
}
