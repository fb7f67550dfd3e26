import type { z } from 'zod'
import { RegcreddError } from '../errors.ts'
import { parseOrigin } from '../registry/origin.ts'
import type { EgressSetting } from './config.ts'
import type { egressSection } from './egress-section.ts'
import { checkAbsolute, type ReadFile, readCertificates } from './files.ts'
import { parseNoProxyEntry } from './no-proxy.ts'
import type { Report } from './problem.ts'

/** Checks `egress`; whatever is wrong is reported. `credentialsFile` is read when the daemon starts: who checks a configuration need not be who may read it. */
export function resolveEgress(
  section: z.output<typeof egressSection> | undefined,
  readFile: ReadFile,
  report: Report,
): EgressSetting | undefined {
  if (section === undefined) return undefined
  const { credentialsFile, caFile } = section
  const proxy = section.proxy === undefined ? undefined : proxyFrom(section.proxy, report)
  const noProxy = section.noProxy.flatMap((entry, index) => {
    const rule = parseNoProxyEntry(entry)
    if (rule === undefined)
      report(`egress.noProxy[${index}]`, 'is no name, address, range or `*`', 'one entry each, without scheme and path')
    return rule ?? []
  })
  if (credentialsFile !== undefined) checkAbsolute(credentialsFile, 'egress.credentialsFile', report)
  const ca = caFile === undefined ? undefined : readCertificates(caFile, 'egress.caFile', readFile, report)
  for (const key of ['noProxy', 'credentialsFile', 'caFile'] as const) {
    const isGiven = key === 'noProxy' ? section.noProxy.length > 0 : section[key] !== undefined
    if (section.proxy === undefined && isGiven) report(`egress.${key}`, 'has no meaning without `egress.proxy`')
  }
  if (caFile !== undefined && proxy?.protocol === 'http:')
    report('egress.caFile', 'has no meaning where `egress.proxy` is http://')
  return { proxy, noProxy, credentialsFile, ca }
}

function proxyFrom(text: string, report: Report): URL | undefined {
  try {
    return parseOrigin(text)
  } catch (thrown) {
    if (!(thrown instanceof RegcreddError)) throw thrown
    const hint = text.includes('@')
      ? 'user and password belong into egress.credentialsFile'
      : 'no path, query or fragment; other kinds of proxies are not known'
    report('egress.proxy', 'must be `http://host:port` or `https://host:port` and nothing more', hint)
    return undefined
  }
}
