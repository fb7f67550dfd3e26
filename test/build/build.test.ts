import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import packageJson from '../../package.json' with { type: 'json' }
import { run } from '../cli/regcredd.ts'
import { type DaemonOptions, startDaemon } from '../helpers/daemon.ts'
import { eventually } from '../helpers/eventually.ts'
import { digestOf, type FakeRegistry, startFakeRegistry } from '../helpers/fake-registry.ts'
import { skipWithoutKeyring, startKeyring } from '../helpers/keyring.ts'
import { ask } from '../helpers/proxy.ts'
import { accept, refuse, startFakeKubeApi } from '../mirror/fake-kube-api.ts'

const NAME = 'registry.corp.example'
const root = join(import.meta.dirname, '../..')

describe('the bundle, in a folder with nothing else but keytar', () => {
  let folder: string
  let registry: FakeRegistry
  let digest: string
  const file = (name: string) => join(folder, 'dist', name)
  const bundled = (args: string[]) => run(args, { node: [file('regcredd.mjs')] })

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'regcredd-build-'))
    await promisify(execFile)(process.execPath, [join(root, 'build.mjs'), join(folder, 'dist')])
    await mkdir(join(folder, 'node_modules'))
    await symlink(join(root, 'node_modules/keytar'), join(folder, 'node_modules/keytar'))
    registry = await startFakeRegistry({ auth: 'bearer' })
    digest = registry.addManifest('team/app', '1', { schemaVersion: 2 })
  })
  after(async () => {
    await registry?.close()
    await rm(folder, { recursive: true, force: true })
  })

  /** Logs in and pulls once; gives what the daemon wrote. */
  async function loginAndPull(options: Omit<DaemonOptions, 'registries' | 'main'>): Promise<string> {
    const registries = [{ host: NAME, upstream: registry.origin.origin, credential: 'required' }]
    const daemon = await startDaemon({ registries, main: file('regcredd.mjs'), ...options })
    try {
      const login = await run(['login', NAME, '--username', 'ci', '--password-stdin'], {
        stdin: 'the-password',
        node: [file('regcredd.mjs')],
        env: { REGCREDD_SOCKET: daemon.socket },
      })
      assert.equal(login.code, 0, login.stderr)
      const pulled = await ask(daemon.port(), `/v2/team/app/manifests/1?ns=${NAME}`, {
        headers: { 'regcredd-token': daemon.callerToken },
      })
      assert.deepEqual([pulled.status, digestOf(pulled.body)], [200, digest])
      if (options.config?.['kubernetes'] !== undefined) {
        await eventually('the mirror writes', () => /"outcome":"(created|updated)"/.test(daemon.log()), 30_000)
      }
      return daemon.log()
    } finally {
      await daemon.close()
    }
  }

  test('it tells its version and checks a configuration', async () => {
    const { code, stdout, stderr } = await bundled(['version', '--json'])
    assert.deepEqual([code, JSON.parse(stdout).version, stderr], [0, packageJson.version, ''])
    const config = join(folder, 'config.json')
    await writeFile(config, JSON.stringify({ registries: [{ host: NAME }], keychain: { store: 'memory' } }))
    assert.deepEqual(
      [(await bundled(['config', 'check', config])).code, (await bundled(['config', 'check'])).code],
      [0, 78],
    )
  })

  test('it mirrors, with the client for Kubernetes in a file of its own', async () => {
    const api = await startFakeKubeApi((call, answer) =>
      call.method === 'GET' ? refuse(answer, 404, { reason: 'NotFound' }) : accept(answer, call),
    )
    try {
      const mirrors = [{ registries: [NAME], namespaces: ['default'] }]
      await loginAndPull({ config: { kubernetes: { kubeconfig: api.kubeconfig, mirrors } } })
    } finally {
      await api.close()
    }
  })

  test('of the client for Kubernetes it holds the APIs that are used, and none of the other seventy', async () => {
    const text = await readFile(file('kubernetes-client.mjs'), 'utf8')
    const held = [...text.matchAll(/\bObservable(\w+V1Api)\s*=\s*class/g)].map(([, name]) => name)
    assert.deepEqual(held.sort(), ['AuthenticationV1Api', 'AuthorizationV1Api', 'CoordinationV1Api', 'CoreV1Api'])
  })

  test('without a cluster it serves pulls from the file keychain and never reads that file; nothing is deprecated', async () => {
    await rm(file('kubernetes-client.mjs'))
    assert.doesNotMatch(await loginAndPull({}), /Warning/)
  })

  test('it finds its helper process and keytar', { skip: skipWithoutKeyring() }, async () => {
    const keyring = await startKeyring()
    try {
      const config = { keychain: { store: 'os', service: 'regcredd-build-test', timeoutMs: 30_000 } }
      assert.doesNotMatch(await loginAndPull({ config, env: keyring.env }), /Warning/)
      assert.notDeepEqual(await readdir(keyring.folder), [], 'the password lies in the keyring')
    } finally {
      await keyring.close()
    }
  })

  test('every package within comes with its licence', async () => {
    const licences = await readFile(file('THIRD-PARTY-LICENSES.txt'), 'utf8')
    for (const name of ['@kubernetes/client-node', 'express', 'http-proxy', 'pino', 'zod']) {
      const { version, license } = JSON.parse(await readFile(join(root, 'node_modules', name, 'package.json'), 'utf8'))
      const text = (await readFile(join(root, 'node_modules', name, 'LICENSE'), 'utf8')).trim()
      assert.ok(licences.includes(`\n${name} ${version} (${license})\n\n${text}\n`), name)
    }
  })
})

test('run from its sources, the daemon tells nobody of deprecations either', async () => {
  const registry = await startFakeRegistry({ auth: 'none' })
  sendInChunks(registry)
  const daemon = await startDaemon({ registries: [{ host: NAME, upstream: registry.origin.origin }] })
  try {
    await ask(daemon.port(), `/v2/team/app/manifests/1?ns=${NAME}`, {
      headers: { 'regcredd-token': daemon.callerToken },
    })
    // Asked by the lane, and then by http-proxy, whose first request is what node would warn of.
    assert.deepEqual([registry.requests.length, /Warning/.exec(daemon.log())], [2, null])
  } finally {
    await daemon.close()
    await registry.close()
  }
})

/** What is in chunks is not for the lane, so http-proxy fetches it. */
function sendInChunks(registry: FakeRegistry): void {
  registry.script = (request, response) => {
    if (!request.url?.includes('/manifests/')) return false
    response.writeHead(200, { 'content-type': 'application/json' })
    response.write('{')
    response.end('}')
    return true
  }
}
