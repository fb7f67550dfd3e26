import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import type { z } from 'zod'
import { findJsonFault } from '../json-fault.ts'
import { isLoopback, isSameAddress, parseListen } from './address.ts'
import { resolveAdmin } from './admin-section.ts'
import type { Config, ListedRegistry, ListenAddress } from './config.ts'
import { resolveEgress } from './egress.ts'
import { egressSection } from './egress-section.ts'
import { checkAbsolute, type ReadFile, readText } from './files.ts'
import { resolveFleet } from './fleet.ts'
import { formProblems } from './form.ts'
import { mirrorEntry } from './kubernetes-section.ts'
import { checkSecretName, resolveMirrors } from './mirror-entry.ts'
import { ConfigError, type Problem, type Report } from './problem.ts'
import { checkProxyTls } from './proxy-tls.ts'
import { resolveName, resolveRegistry } from './registry-entry.ts'
import { registryEntry } from './registry-section.ts'
import { configFile } from './schema.ts'

const MAX_FILE_BYTES = 1024 * 1024
const sections = configFile.shape

/**
 * Reads and checks the configuration file and the files that it names.
 * Throws ConfigError (CONFIG_INVALID) with all problems; a file that cannot be read, or is not JSON, is one problem.
 */
export async function loadConfig(path: string): Promise<Config> {
  const bytes = await readFile(path).catch((cause: NodeJS.ErrnoException) => {
    const hint =
      cause.code === 'ENOENT' ? 'write one, as config.example.json shows, or name it with --config' : undefined
    throw new ConfigError(path, [{ path: '', message: `cannot be read: ${cause.code}`, hint }])
  })
  const outcome = resolveConfig(parseJson(path, bytes), (file) => readFileSync(file, 'utf8'))
  if ('problems' in outcome) throw new ConfigError(path, outcome.problems)
  return outcome.config
}

/**
 * Turns what stands in the file into the configuration, or tells all that is wrong with it, sorted by path.
 * `readFile` gives the files that it names.
 */
export function resolveConfig(parsed: unknown, readFile: ReadFile): { config: Config } | { problems: Problem[] } {
  const problems = formProblems(parsed)
  const report: Report = (path, message, hint) => void problems.push({ path, message, hint })
  const file = isObject(parsed) ? parsed : {}

  const keychain = salvage(sections.keychain, file['keychain'])
  if (keychain?.store === 'file') {
    checkAbsolute(keychain.path, 'keychain.path', report)
    if (keychain.keyFile !== undefined) checkAbsolute(keychain.keyFile, 'keychain.keyFile', report)
  }
  const registries = resolveRegistries(file['registries'], readFile, report)
  const proxy = resolveProxy(salvage(sections.proxy, file['proxy']), report)
  if (proxy !== undefined) checkProxyTls(proxy, registries ?? [], readFile, report)
  const health = resolveHealth(salvage(sections.health, file['health']), report)
  if (isSameAddress(proxy?.listen, health?.listen)) report('health.listen', 'is the same as proxy.listen')
  const adminSection = salvage(sections.admin, file['admin'])
  const admin = adminSection && resolveAdmin(adminSection, [proxy?.listen, health?.listen], readFile, report)
  const audit = salvage(sections.audit, file['audit'])
  if (audit !== undefined) checkAbsolute(audit.folder, 'audit.folder', report)
  const rotation = salvage(sections.rotation, file['rotation'])
  if (rotation !== undefined) checkAbsolute(rotation.journal, 'rotation.journal', report)
  const log = salvage(sections.log, file['log'])
  const isAsked = isObject(file['admin']) && file['admin']['kubernetesAuth'] !== undefined
  const kubernetes = resolveKubernetes(file['kubernetes'], { registries, isAsked }, readFile, report)
  if (isAsked && file['kubernetes'] === undefined)
    report('admin.kubernetesAuth', 'needs kubernetes.kubeconfig', 'which cluster is asked')
  const egress = resolveEgress(salvage(egressSection, file['egress']), readFile, report)

  if (problems.length > 0) return { problems: problems.sort(byPath) }
  if (!registries || !keychain || !proxy || !health || !admin || !audit || !rotation || !log) {
    throw new Error('a section was dropped without a problem')
  }
  return {
    config: {
      registries: registries.filter((registry) => registry !== undefined),
      keychain,
      proxy,
      health,
      admin,
      audit,
      rotation,
      kubernetes,
      egress,
      log,
    },
  }
}

function byPath(a: Problem, b: Problem): number {
  return a.path.localeCompare(b.path, 'en', { numeric: true })
}

function parseJson(path: string, bytes: Buffer): unknown {
  const refuse = (message: string, hint?: string) => new ConfigError(path, [{ path: '', message, hint }])
  if (bytes.length > MAX_FILE_BYTES) throw refuse('is larger than 1 MiB')
  const text = bytes.toString('utf8')
  if (!Buffer.from(text).equals(bytes)) throw refuse('is not UTF-8')
  const fault = findJsonFault(text)
  if (fault === undefined) return JSON.parse(text)
  throw refuse(`is not JSON: line ${fault.line}, column ${fault.column}: ${fault.message}`, fault.hint)
}

/** Gives as many entries as stand in the file, `undefined` for bad ones; `undefined` altogether where there is no list. */
function resolveRegistries(
  value: unknown,
  readFile: ReadFile,
  report: Report,
): (ListedRegistry | undefined)[] | undefined {
  if (!Array.isArray(value)) return undefined
  const places = new Map<string, string>()
  return value.map((item, index) => {
    const at = `registries[${index}]`
    const entry = salvage(registryEntry, item)
    const registry = entry && resolveRegistry(entry, at, readFile, report)
    if (registry === undefined) return undefined
    const earlier = places.get(registry.name)
    if (earlier === undefined) places.set(registry.name, at)
    else report(`${at}.host`, `is ${registry.name}, as is ${earlier}`, 'each registry is listed once')
    return registry
  })
}

function resolveProxy(proxy: z.output<typeof sections.proxy> | undefined, report: Report): Config['proxy'] | undefined {
  if (proxy === undefined) return undefined
  const listen = resolveListen(proxy.listen, 'proxy.listen', report)
  checkAbsolute(proxy.callerTokenFile, 'proxy.callerTokenFile', report)
  const name = resolveName(proxy.defaultRegistry, 'proxy.defaultRegistry', report)
  if (name !== undefined && name.path !== '') report('proxy.defaultRegistry', 'must be a host without a path')
  return listen && name && { ...proxy, listen, defaultRegistry: name.host }
}

function resolveHealth(
  health: z.output<typeof sections.health> | undefined,
  report: Report,
): Config['health'] | undefined {
  const listen = health && resolveListen(health.listen, 'health.listen', report)
  return listen && { listen }
}

function resolveListen(text: string, at: string, report: Report): ListenAddress | undefined {
  const listen = parseListen(text)
  if (listen === undefined) report(at, 'must be an address and a port', 'such as 127.0.0.1:5050 or [::1]:5050')
  else if (!isLoopback(listen.host)) report(at, 'must be a loopback address', 'whoever can reach it can use it')
  return listen
}

function resolveKubernetes(
  value: unknown,
  { registries, isAsked }: { registries: (ListedRegistry | undefined)[] | undefined; isAsked: boolean },
  readFile: ReadFile,
  report: Report,
): Config['kubernetes'] {
  if (!isObject(value)) return undefined
  const entries = (Array.isArray(value['mirrors']) ? value['mirrors'] : []).flatMap((item, index) => {
    const entry = salvage(mirrorEntry, item)
    return entry === undefined
      ? []
      : [{ entry, at: `kubernetes.mirrors[${index}]`, isWhole: mirrorEntry.safeParse(item).success }]
  })
  const isListKnown = registries?.every((registry) => registry !== undefined)
  const listed = isListKnown ? new Set(registries?.map((registry) => registry?.name ?? '')) : undefined
  const mirrors = resolveMirrors(entries, listed, report)
  const kubernetes = salvage(sections.kubernetes, value)
  if (typeof value['kubeconfig'] === 'string') {
    readText(value['kubeconfig'], 'kubernetes.kubeconfig', readFile, report)
  }
  for (const [index, name] of (kubernetes?.formerSecretNames ?? []).entries()) {
    checkSecretName(name, `kubernetes.formerSecretNames[${index}]`, report)
  }
  const fleet = kubernetes?.fleet && resolveFleet(kubernetes.fleet, 'kubernetes.fleet', listed, report)
  const isIdle = kubernetes !== undefined && !isAsked && kubernetes.mirrors.length === 0 && value['fleet'] === undefined
  if (isIdle && entries.length === 0) report('kubernetes.mirrors', 'names nothing to mirror, and there is no `fleet`')
  return kubernetes && { ...kubernetes, mirrors, fleet }
}

/** Parses a part; where a key of it is bad, parses it without that key, so that the other keys are checked too. */
function salvage<Schema extends z.ZodType>(schema: Schema, value: unknown): z.output<Schema> | undefined {
  const first = schema.safeParse(value)
  if (first.success) return first.data
  if (!isObject(value)) return undefined
  const bad = new Set(
    first.error.issues.flatMap((issue) => ('keys' in issue && issue.path.length === 0 ? issue.keys : [issue.path[0]])),
  )
  return schema.safeParse(Object.fromEntries(Object.entries(value).filter(([key]) => !bad.has(key)))).data
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
