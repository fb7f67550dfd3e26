import type { TestContext } from 'node:test'
import { type Daemon, type DaemonOptions, type RestAnswer, startDaemon } from '../helpers/daemon.ts'
import { eventually } from '../helpers/eventually.ts'
import { type FakeRegistry, startFakeRegistry } from '../helpers/fake-registry.ts'
import { ask, type Got } from '../helpers/proxy.ts'

/** The registry whose credential a daemon has read when its keychain fails, and the one of which it knows nothing yet. */
export const KNOWN = 'known.example'
export const UNKNOWN = 'unknown.example'

/** A daemon that lends to both, whose passwords are the same; it has none stored. */
export async function startBoth(
  t: TestContext,
  password: string,
  more: Omit<DaemonOptions, 'registries'> = {},
): Promise<{ registry: FakeRegistry; daemon: Daemon; options: DaemonOptions }> {
  const registry = await startFakeRegistry({ auth: 'basic', password })
  t.after(() => registry.close())
  registry.addManifest('team/app', '1', { schemaVersion: 2 })
  const upstream = registry.origin.origin
  const registries = [
    { host: KNOWN, upstream },
    { host: UNKNOWN, upstream },
  ]
  const options = { registries, ...more }
  const daemon = await startDaemon(options)
  t.after(() => daemon.close())
  return { registry, daemon, options }
}

/** Stores a password without asking the registry for it. */
export function store(daemon: Daemon, host: string, password: string): Promise<RestAnswer> {
  const body = { username: 'ci', password, verify: false }
  return daemon.rest('PUT', `/v1/registries/${host}/credential`, body)
}

export function pull(daemon: Daemon, host: string): Promise<Got> {
  const headers = { 'regcredd-token': daemon.callerToken }
  return ask(daemon.port(), `/v2/team/app/manifests/1?ns=${host}`, { headers })
}

/** What /readyz says. */
export async function reason(daemon: Daemon): Promise<string> {
  return (await fetch(`${daemon.health}/readyz`)).text()
}

export const isReady = (daemon: Daemon) =>
  eventually('it is ready', async () => (await fetch(`${daemon.health}/readyz`)).status === 200, 20_000)
