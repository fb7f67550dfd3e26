import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, suite, test } from 'node:test'
import { loadConfig } from '../../src/config/load.ts'
import { Secret } from '../../src/secret.ts'
import { type Containerd, startContainerd } from '../helpers/containerd.ts'
import { type Daemon, logIn, startDaemon } from '../helpers/daemon.ts'
import { type DockerRegistry, startDockerRegistry } from '../helpers/docker-registry.ts'
import { eventually } from '../helpers/eventually.ts'
import { type PushedImage, pushImage } from '../helpers/image.ts'
import { type ServerProcess, startServer } from '../helpers/server-process.ts'
import { needTool, skipWithout, skipWithoutRootAnd } from '../helpers/tools.ts'
import { placeFiles } from './puller.ts'

const login = { username: 'ci', password: 'the password of the Hub' }
const skip = skipWithoutRootAnd('dockerd', 'containerd', 'runc') || skipWithout('docker-registry', 'htpasswd')

let hub: DockerRegistry
let image: PushedImage
let daemon: Daemon
let containerd: Containerd
let dockerd: ServerProcess
let folder: string

before(async () => {
  if (skip) return
  folder = await mkdtemp(join(tmpdir(), 'regcredd-dockerd-'))
  hub = await startDockerRegistry({ login, names: ['registry-1.docker.io'] })
  image = await pushImage(hub, { repository: 'team/app', tag: '1', login })
  daemon = await startDaemon({
    registries: [
      {
        host: 'docker.io',
        upstream: hub.origin,
        serverName: 'registry-1.docker.io',
        caFile: hub.ca?.certFile,
        callers: 'open',
        fallback: 'origin',
      },
    ],
  })
  await logIn(daemon, 'docker.io', login)
  const node = { setting: await loadConfig(daemon.configFile), token: new Secret(daemon.callerToken) }
  const at = await placeFiles('dockerd', node, folder)
  containerd = await startContainerd()
  dockerd = await startServer({
    tool: needTool('dockerd'),
    args: [
      `--config-file=${at('/etc/docker/daemon.json')}`,
      `--host=unix://${join(folder, 'docker.sock')}`,
      `--containerd=${containerd.socketPath}`,
      `--data-root=${join(folder, 'data')}`,
      `--exec-root=${join(folder, 'exec')}`,
      `--pidfile=${join(folder, 'pid')}`,
      '--storage-driver=vfs',
      '--iptables=false',
      '--bridge=none',
    ],
    ready: /API listen on/,
  })
})

after(async () => {
  await dockerd?.stop()
  await containerd?.stop()
  await daemon?.close()
  await hub?.stop()
  if (folder !== undefined) await rm(folder, { recursive: true, force: true })
})

function ask(method: string, path: string): Promise<{ status: number; said: string }> {
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath: join(folder, 'docker.sock'), method, path }, async (answer) => {
      resolve({ status: answer.statusCode ?? 0, said: await text(answer) })
    })
    sent.on('error', reject)
    sent.end()
  })
}

suite('dockerd, set up with what `clients show` prints', { skip }, () => {
  test('pulls an image of the Hub through the daemon, and has the registry’s digest', async () => {
    const { said } = await ask('POST', '/images/create?fromImage=team/app&tag=1')
    assert.match(said, /Downloaded newer image/)
    const { said: found } = await ask('GET', '/images/team/app:1/json')
    assert.deepEqual(JSON.parse(found).RepoDigests, [`team/app@${image.manifestDigest}`])
    const pulls = async () => (await daemon.audit()).filter((record) => record.type === 'pull.end' && record.complete)
    // The end of a pull is written when dockerd has had it.
    await eventually('its pulls are in the audit', async () => (await pulls()).length >= 3)
  })
})
