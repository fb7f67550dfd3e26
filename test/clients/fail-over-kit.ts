import type { ServerResponse } from 'node:http'
import { Secret } from '../../src/secret.ts'
import { type Daemon, startDaemon } from '../helpers/daemon.ts'
import { type FakeRegistry, startFakeRegistry } from '../helpers/fake-registry.ts'
import { settingOf } from '../install/setting.ts'
import type { Node, Puller } from './puller.ts'

export const answers = ['403', '404', '429', '502', '503', 'down'] as const
/** `blob`: the manifest is given, and no blob of it. */
const staged = [...answers, 'blob'] as const
export type Answer = (typeof staged)[number]
export type Fallback = 'never' | 'origin'

/** What became of one pull, as far as the operator of a node cares. */
export type Fate = {
  outcome: 'image' | 'fails'
  /** Whether the registry itself, past the daemon, was asked. */
  askedOrigin: boolean
  /** How many requests the daemon had. */
  requests: number
  /** All statuses that the daemon has answered for this registry. */
  statuses: string[]
  /** What the client says when it fails. */
  words: string
}

export type Stage = {
  daemon: Daemon
  nodeFor: (fallback: Fallback) => Node
  pull: (puller: Puller, answer: Answer) => Promise<Fate>
  close: () => Promise<void>
}

/**
 * For each answer a registry in two persons: behind the daemon, where things go as the answer needs, and at the address in the
 * image's name, where the image is to be had by everybody. So a pull that succeeds went past the daemon.
 */
export async function startStage(): Promise<Stage> {
  const origins = new Map<Answer, FakeRegistry>()
  for (const answer of staged) origins.set(answer, addImage(await startFakeRegistry({ auth: 'none' })))
  const behind = await startFakeRegistry({ auth: 'none' })
  const locked = await startFakeRegistry({ auth: 'basic' })
  const busy = await startFakeRegistry({ auth: 'none' })
  busy.script = (_request, response) => tooMany(response)
  // Not a port that nobody listens on: another test might soon.
  const gone = await startFakeRegistry({ auth: 'none' })
  gone.script = (request) => request.socket.destroy() !== undefined
  const torn = addImage(await startFakeRegistry({ auth: 'none' }))
  torn.script = (request) => request.url?.includes('/blobs/') === true && request.socket.destroy() !== undefined
  const entries: Record<Answer, object> = {
    // Nobody has logged in.
    '403': { upstream: locked.origin.origin },
    '404': { upstream: behind.origin.origin },
    '429': { upstream: busy.origin.origin },
    '502': { upstream: gone.origin.origin },
    '503': { upstream: behind.origin.origin, credential: 'required' },
    down: { upstream: behind.origin.origin },
    blob: { upstream: torn.origin.origin },
  }
  const hostOf = (answer: Answer) => `127.0.0.1:${origins.get(answer)?.port}`
  const daemon = await startDaemon({
    registries: staged.map((answer) => ({ host: hostOf(answer), ...entries[answer] })),
  })
  const nodeFor = (fallback: Fallback): Node => {
    const registries = staged.map((answer) => ({
      host: hostOf(answer),
      upstream: `http://${hostOf(answer)}`,
      fallback,
    }))
    return { setting: settingOf(registries, { listen: daemon.proxy }), token: new Secret(daemon.callerToken) }
  }
  const counted = async (answer: Answer) => {
    if (answer === 'down') return { requests: 0, statuses: [] }
    const lines = (await (await fetch(`${daemon.health}/metrics`)).text()).split('\n')
    const own = lines.filter(
      (line) => line.startsWith('regcredd_pull_requests_total{') && line.includes(hostOf(answer)),
    )
    return {
      requests: own.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0),
      statuses: [...new Set(own.map((line) => /status="(\d+)"/.exec(line)?.[1] ?? ''))],
    }
  }

  async function pull(puller: Puller, answer: Answer): Promise<Fate> {
    const origin = origins.get(answer)
    const earlier = { ...(await counted(answer)), origin: origin?.requests.length }
    const words = await puller.pull(`${hostOf(answer)}/team/app:1`).then(
      () => undefined,
      (error: Error) => error.message,
    )
    const later = await counted(answer)
    return {
      outcome: words === undefined ? 'image' : 'fails',
      askedOrigin: origin?.requests.length !== earlier.origin,
      requests: later.requests - earlier.requests,
      statuses: later.statuses,
      words: words ?? '',
    }
  }

  async function close(): Promise<void> {
    await daemon.close()
    for (const registry of [...origins.values(), behind, locked, busy, gone, torn]) await registry.close()
  }
  return { daemon, nodeFor, pull, close }
}

function tooMany(response: ServerResponse): boolean {
  const body = '{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}'
  response.writeHead(429, { 'retry-after': '1', 'content-type': 'application/json', 'content-length': body.length })
  response.end(body)
  return true
}

function addImage(registry: FakeRegistry): FakeRegistry {
  addEmptyImage(registry)
  return registry
}

/** `team/app:1`, an image without layers, which runtimes take too; gives its digest. */
export function addEmptyImage(registry: FakeRegistry): string {
  const architecture = process.arch === 'x64' ? 'amd64' : process.arch
  const rootfs = { type: 'layers', diff_ids: [] }
  const config = Buffer.from(JSON.stringify({ architecture, os: 'linux', config: {}, rootfs }))
  const mediaType = 'application/vnd.oci.image.config.v1+json'
  return registry.addManifest('team/app', '1', {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: { mediaType, digest: registry.addBlob(config), size: config.length },
    layers: [],
  })
}
