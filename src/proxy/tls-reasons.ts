import { endsSoon, shortTime } from '../key-pair.ts'
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
    const at = shortTime(ending.to)
    if (isOver(ending)) {
      const line = `${WHAT[ending.key]} ended at ${at}; ${AFTER[ending.key]}`
      // While authorities follow each other, an old one may stand in the file for long.
      const hasHeir = ending.key === 'clientCaFile' && endings.some((one) => one.key === ending.key && !isOver(one))
      if (hasHeir) warnings.push(`warning: ${line}`)
      else faults.push(line)
    } else if (endsSoon(ending, wallNowMs))
      warnings.push(`warning: ${WHAT[ending.key]} ends at ${at}; from then on ${AFTER[ending.key]}`)
  }
  const fault = files.fault()
  if (fault !== undefined) warnings.push(`warning: the files from before serve on; ${fault.detail}`)
  return { faults, warnings }
}
