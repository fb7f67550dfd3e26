import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdtemp, rm, symlink } from 'node:fs/promises'
import http, { type IncomingMessage } from 'node:http'
import https from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import { type Daemon, logIn, startDaemon } from '../test/helpers/daemon.ts'
import { type Login, startDockerRegistry } from '../test/helpers/docker-registry.ts'
import { freePort } from '../test/helpers/free-port.ts'
import { pushImage } from '../test/helpers/image.ts'
import type { Certificate } from '../test/helpers/tls.ts'
import { findTool } from '../test/helpers/tools.ts'
import { asInstalled, startedAs } from './as-installed.ts'
import { startLightRegistry } from './light-registry.ts'
import { proxyServer, startNginx } from './nginx.ts'
import { startPullThrough } from './pull-through.ts'

/** Where and how to ask for the same thing. `pid` is the process that serves it, where its CPU time is of interest. */
export type Target = { origin: string; query: string; headers: Record<string, string>; pid?: number }

/** An entry of the configuration's `registries`. */
export type Registered = { host: string }

export type Rig = {
  folder: string
  /** The bundle, and the configuration of a daemon that is not running. */
  main: string
  idleConfigFile: string
  blobPath: string
  manifestPath: string
  /** The same manifest by its digest: a pull-through cache gives it without asking anybody. */
  digestPath: string
  /** Debian's docker-registry, TLS and bcrypt. */
  real: { direct: Target; regcredd: Target; nginx: Target | undefined }
  /** A registry that costs next to nothing, so that small requests show the proxies and not their upstream: files, by nginx, over TLS. */
  light: { direct: Target; regcredd: Target; nginx: Target; cache: Target | undefined } | undefined
  [Symbol.asyncDispose](): Promise<void>
}

const LOGIN = { username: 'bench', password: 'of the bench only' }
const REAL = 'registry.bench.example'
const LIGHT = 'light.bench.example'
/** docker-registry denies an OCI manifest to whoever does not ask for one. */
const accept = { accept: 'application/vnd.oci.image.manifest.v1+json' }
const authorization = `Basic ${Buffer.from(`${LOGIN.username}:${LOGIN.password}`).toString('base64')}`

/** Starts all that is measured, on loopback, with a blob of so many bytes; says what it does. */
export async function startRig(blobBytes: number, say: (text: string) => void): Promise<Rig> {
  await using stack = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'regcredd-bench-'))
  stack.defer(() => rm(folder, { recursive: true, force: true }))

  say('building the bundle')
  const main = join(folder, 'dist/regcredd.mjs')
  await promisify(execFile)(process.execPath, [join(import.meta.dirname, '../build.mjs'), join(folder, 'dist')])

  // keytar, which is no part of the bundle.
  await symlink(join(import.meta.dirname, '../node_modules'), join(folder, 'node_modules'))

  say(`pushing an image of ${Math.round(blobBytes / 1e6)} MB to docker-registry`)
  const registry = await startDockerRegistry({ login: LOGIN })
  stack.defer(() => registry.stop())
  const image = await pushImage(registry, { repository: 'team/app', tag: '1', login: LOGIN, layerBytes: blobBytes })
  const digest = image.layerDigests[0]
  if (registry.ca === undefined || digest === undefined) throw new TypeError('the registry has TLS, the image a layer')
  const ca: Certificate = registry.ca
  const blobPath = `/v2/team/app/blobs/${digest}`
  const manifestPath = '/v2/team/app/manifests/1'
  const digestPath = `/v2/team/app/manifests/${image.manifestDigest}`
  const direct: Target = { origin: registry.origin, query: '', headers: { ...accept, authorization } }

  const registries = [{ host: REAL, upstream: registry.origin, caFile: ca.certFile }]
  const peers = await startPeers()
  if (peers !== undefined) registries.push({ host: LIGHT, upstream: peers.light.direct.origin, caFile: ca.certFile })

  say('starting the daemon')
  const daemon = await startWithLogin(main, registries, LOGIN)
  stack.defer(() => daemon.close())
  const idle = await startWithLogin(main, registries.slice(0, 1), LOGIN)
  stack.defer(() => idle.close())
  await idle.stop()
  const lent = (name: string): Target => ({
    origin: `http://${daemon.proxy}`,
    query: `?ns=${name}`,
    headers: { ...accept, 'regcredd-token': daemon.callerToken },
    pid: daemon.pid,
  })
  const real = { direct, regcredd: lent(REAL), nginx: peers?.nginx }
  const light = peers && { ...peers.light, regcredd: lent(LIGHT) }

  for (const target of [real.direct, real.regcredd, real.nginx, light?.direct, light?.regcredd, light?.nginx]) {
    if (target !== undefined) await compare(target, blobPath, ca.cert, digest)
    if (target !== undefined) await compare(target, manifestPath, ca.cert, image.manifestDigest)
  }
  for (const target of [light?.regcredd, light?.cache]) {
    if (target !== undefined) await compare(target, digestPath, ca.cert, image.manifestDigest)
  }
  const held = stack.move()
  return {
    ...{ folder, main, idleConfigFile: idle.configFile, blobPath, manifestPath, digestPath, real, light },
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  }

  async function startCache(remote: string): Promise<Target | undefined> {
    if ('missing' in findTool('distribution')) return void say('no distribution: its row is left out')
    const cache = await startPullThrough(join(folder, 'cache'), { remote, caFile: ca.certFile, login: LOGIN })
    stack.defer(() => cache.stop())
    return { origin: cache.origin, query: '', headers: accept, pid: cache.pid }
  }

  /** nginx as proxy of both registries, the light one, and a cache of that; nothing without nginx. */
  async function startPeers() {
    if ('missing' in findTool('nginx')) return void say('no nginx: its rows are left out')
    const saveAs = (path: string, file: string) => save(direct, path, ca.cert, file)
    const paths = [blobPath, manifestPath, digestPath]
    const light = await startLightRegistry(join(folder, 'light'), LOGIN, ca, paths, saveAs)
    stack.defer(() => light.stop())
    const [overReal, overLight] = [await freePort(), await freePort()]
    const proxies = { authorization, caFile: ca.certFile }
    const nginx = await startNginx(
      join(folder, 'nginx'),
      proxyServer({ ...proxies, port: overReal, upstreamPort: registry.port }) +
        proxyServer({ ...proxies, port: overLight, upstreamPort: light.port }),
    )
    stack.defer(() => nginx.stop())
    const through = (port: number) => ({
      origin: `http://127.0.0.1:${port}`,
      query: '',
      headers: accept,
      pid: nginx.pid,
    })
    return {
      nginx: through(overReal),
      light: {
        direct: { ...direct, origin: `https://127.0.0.1:${light.port}` },
        nginx: through(overLight),
        cache: await startCache(`https://127.0.0.1:${light.port}`),
      },
    }
  }
}

/** A daemon, its log read from a pipe, with the credential of each registry that it lists. */
export async function startWithLogin(main: string, registries: Registered[], login: Login): Promise<Daemon> {
  const daemon = await startDaemon({ registries, main, ...startedAs(asInstalled()) })
  for (const { host } of registries) await logIn(daemon, host, login)
  return daemon
}

async function ask({ origin, query, headers }: Target, path: string, ca: string): Promise<IncomingMessage> {
  const client = origin.startsWith('https:') ? https : http
  return new Promise((resolve, reject) => {
    client.get(`${origin}${path}${query}`, { headers, ca, agent: false }, resolve).on('error', reject)
  })
}

async function save(target: Target, path: string, ca: string, file: string): Promise<void> {
  await pipeline(await ask(target, path, ca), createWriteStream(file))
}

/** Whoever is fast must also be right. */
async function compare(target: Target, path: string, ca: string, digest: string): Promise<void> {
  const hash = createHash('sha256')
  const answer = await ask(target, path, ca)
  await pipeline(answer, hash)
  if (answer.statusCode === 200 && `sha256:${hash.digest('hex')}` === digest) return
  throw new Error(`${target.origin}${path} gives ${answer.statusCode} or other content`)
}
