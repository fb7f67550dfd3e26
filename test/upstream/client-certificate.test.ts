import assert from 'node:assert/strict'
import { chmod, copyFile, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, type TestContext, test } from 'node:test'
import type { TLSSocket } from 'node:tls'
import type { Registry } from '../../src/config/config.ts'
import { createAgents } from '../../src/upstream/agents.ts'
import { ask } from '../../src/upstream/ask.ts'
import { followClientCertificates } from '../../src/upstream/client-certificate.ts'
import { type ClientCa, makeClientCa } from '../helpers/client-tls.ts'
import { startDaemon } from '../helpers/daemon.ts'
import { startDockerRegistry } from '../helpers/docker-registry.ts'
import { startEgressProxy } from '../helpers/egress-proxy.ts'
import { eventually } from '../helpers/eventually.ts'
import { ask as askProxy, listed, startTestProxy } from '../helpers/proxy.ts'
import { type Certificate, makeCa, makeServerCertificate } from '../helpers/tls.ts'
import { skipWithout } from '../helpers/tools.ts'

const never = new AbortController().signal
const LOOK_MS = 20

describe('a client certificate', { skip: skipWithout('openssl') }, () => {
  let folder = ''
  let ca: Certificate
  let clients: ClientCa
  let server: Certificate
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'regcredd-client-certificate-'))
    for (const name of ['server', 'clients']) await mkdir(join(folder, name))
    ca = await makeCa(join(folder, 'server'))
    server = await makeServerCertificate(ca, join(folder, 'server'), ['127.0.0.1', 'registry.invalid'])
    clients = await makeClientCa(join(folder, 'clients'))
  })
  after(() => rm(folder, { recursive: true }))

  /** Files of one that the test may replace. */
  async function shown(name: string) {
    const place = await mkdtemp(join(folder, 'shown-'))
    const files = { certFile: join(place, 'client.pem'), keyFile: join(place, 'client.key') }
    await renew(name, files)
    return files
  }

  async function renew(name: string, { certFile, keyFile }: { certFile: string; keyFile: string }) {
    const issued = await clients.issue(name)
    // Renamed, as who renews them should.
    for (const [from, to] of [
      [issued.certFile, certFile],
      [issued.keyFile, keyFile],
    ] as const) {
      await copyFile(from, `${to}.new`)
      await chmod(`${to}.new`, 0o600)
      await rename(`${to}.new`, to)
    }
  }

  /** Followed at short intervals; `told` has what was said of each state of the files. */
  async function followed(t: TestContext, ...entries: Registry[]) {
    const told: string[] = []
    const certificates = await followClientCertificates(entries, {
      onNews: (registry, fault) => void told.push(`${registry} ${fault?.message ?? 'renewed'}`),
      intervalMs: LOOK_MS,
    })
    t.after(() => certificates.close())
    return { certificates, told }
  }

  /** A TLS server that asks for a certificate, and whose it saw. */
  async function startServer(t: TestContext, rejectUnauthorized: boolean) {
    const seen: (string | undefined)[] = []
    const tls = { cert: server.cert, key: await readFile(server.keyFile), ca: clients.cert }
    const listener = createServer({ ...tls, requestCert: true, rejectUnauthorized }, (request, response) => {
      seen.push(String((request.socket as TLSSocket).getPeerCertificate().subject?.CN))
      response.writeHead(200, { 'content-length': 2, 'content-type': 'application/json' }).end('{}')
    })
    await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
    t.after(() => {
      listener.closeAllConnections()
      listener.close()
    })
    return { seen, origin: new URL(`https://127.0.0.1:${(listener.address() as AddressInfo).port}`) }
  }

  async function outcome(to: URL, agent: Parameters<typeof ask>[0]['agent']): Promise<string> {
    const question = { method: 'GET', to, headers: {}, agent, timeoutMs: 20_000, maxBodyBytes: 1_000 } as const
    return ask(question, never).then(
      ({ status }) => String(status),
      ({ code, message }) => `${code}: ${message}`,
    )
  }

  test('is shown to a registry that demands one, and to nobody else', async (t) => {
    const [registry, other] = [await startServer(t, true), await startServer(t, false)]
    const clientCertificate = await shown('node-7')
    const entry = listed('reg.example', registry.origin, {
      ca: ca.cert,
      clientCertificate,
      allowAddresses: ['127.0.0.0/8'],
    })
    const agents = createAgents(entry, await followed(t, entry))
    t.after(agents.close)
    assert.equal(await outcome(registry.origin, agents.towards(registry.origin)), '200')
    assert.equal(await outcome(other.origin, agents.towards(other.origin)), '200')
    assert.deepEqual([registry.seen, other.seen], [['node-7'], ['undefined']])
    const none = createAgents({ ...entry, clientCertificate: undefined })
    t.after(none.close)
    assert.match(
      await outcome(registry.origin, none.registry),
      /^UPSTREAM_UNREACHABLE: .*it wants a client certificate: set clientCertFile/,
    )
  })

  test('of an authority that the registry does not know does not let us in', async (t) => {
    const registry = await startServer(t, true)
    const place = join(folder, 'strangers')
    await mkdir(place)
    const clientCertificate = await (await makeClientCa(place)).issue('stranger')
    await chmod(clientCertificate.keyFile, 0o600)
    const entry = listed('reg.example', registry.origin, { ca: ca.cert, clientCertificate })
    const agents = createAgents(entry, await followed(t, entry))
    t.after(agents.close)
    // Which of its words comes through depends on whether the reset is faster than the alert.
    assert.match(await outcome(registry.origin, agents.registry), /^UPSTREAM_UNREACHABLE: /)
    assert.deepEqual(registry.seen, [])
  })

  test('is shown by the lane, by http-proxy, and through an egress proxy', async (t) => {
    const registry = await startServer(t, true)
    const clientCertificate = await shown('node-8')
    const egressProxy = await startEgressProxy()
    egressProxy.places.set('registry.invalid:443', Number(registry.origin.port))
    const egress = {
      proxyFor: ({ hostname }: URL) =>
        hostname === '127.0.0.1' ? undefined : { url: egressProxy.url, login: undefined, ca: undefined },
    }
    const direct = listed('direct.example', registry.origin, { ca: ca.cert, clientCertificate })
    const proxied = listed('proxied.example', new URL('https://registry.invalid'), { ca: ca.cert, clientCertificate })
    const { certificates } = await followed(t, direct, proxied)
    const proxy = await startTestProxy([direct, proxied], undefined, undefined, { egress, certificates })
    t.after(async () => {
      await proxy.close(0)
      await egressProxy.close()
    })
    for (const name of ['direct.example', 'direct.example', 'proxied.example'])
      assert.equal((await proxy.get(`/v2/a/manifests/1?ns=${name}`)).status, 200, name)
    assert.deepEqual(registry.seen, ['node-8', 'node-8', 'node-8'])
    assert.equal(egressProxy.asked.length, 1)
  })

  test('that was renewed is shown from the next look on, and connections that showed the old one are not used again', async (t) => {
    const registry = await startServer(t, true)
    const clientCertificate = await shown('before')
    const entry = listed('reg.example', registry.origin, { ca: ca.cert, clientCertificate })
    const { certificates, told } = await followed(t, entry)
    const agents = createAgents(entry, { certificates })
    t.after(agents.close)
    for (let i = 0; i < 2; i++) assert.equal(await outcome(registry.origin, agents.registry), '200')
    const old = agents.secure?.()
    await renew('after', clientCertificate)
    await eventually('the new one is read', () => told.at(-1) === 'reg.example renewed')
    for (let i = 0; i < 2; i++) assert.equal(await outcome(registry.origin, agents.registry), '200')
    assert.deepEqual(registry.seen, ['before', 'before', 'after', 'after'])
    assert.notEqual(agents.secure?.().secureContext, old?.secureContext, 'the lane shows it, too')
  })

  test('that is renewed by halves, or in a way that cannot be used, leaves the old one in force, and status says why', async (t) => {
    const files = await shown('first')
    const entry = listed('reg.example', new URL('https://reg.example'), { clientCertificate: files })
    const { certificates, told } = await followed(t, entry)
    const warning = () => certificates.warnings(Date.now()).join()
    const first = certificates.of(entry)?.now()
    const renewed = await clients.issue('second')
    await copyFile(renewed.certFile, files.certFile)
    await eventually('it is told', () => warning().includes('are no pair of a certificate and its unencrypted key'))
    await rm(files.keyFile)
    await eventually('it is told', () => warning().includes('client.key cannot be read (ENOENT)'))
    await copyFile(renewed.keyFile, `${files.keyFile}.new`)
    await chmod(`${files.keyFile}.new`, 0o644)
    await rename(`${files.keyFile}.new`, files.keyFile)
    await eventually('a key that others may read is not taken', () => warning().includes('is open to others'))
    assert.match(
      warning(),
      /^warning: the certificate from before is shown to reg\.example; clientKeyFile of reg\.example /,
    )
    assert.equal(certificates.of(entry)?.now(), first)
    assert.equal(told.length, new Set(told).size, 'each reason is told once')
    await chmod(files.keyFile, 0o600)
    await eventually('it is taken', () => told.at(-1) === 'reg.example renewed')
    assert.notEqual(certificates.of(entry)?.now(), first)
    assert.equal(warning(), '')
  })

  test('is warned of when it is near its end', async (t) => {
    const entry = listed('reg.example', new URL('https://reg.example'), { clientCertificate: await shown('node') })
    const { certificates } = await followed(t, entry)
    const { from, to } = certificates.of(entry)?.now() ?? assert.fail()
    const saidAt = (share: number) =>
      certificates.warnings(from.getTime() + share * (to.getTime() - from.getTime())).join()
    assert.equal(saidAt(0.75), '')
    assert.match(
      saidAt(0.85),
      /^warning: the certificate of clientCertFile of reg\.example ends at 20\S+Z; from then on the registry refuses it$/,
    )
    assert.match(saidAt(1.1), / ended at 20\S+Z; the registry refuses it$/)
  })

  const bad: [what: string, spoil: (files: { certFile: string; keyFile: string }) => Promise<void>, says: RegExp][] = [
    [
      'a key that others may read',
      ({ keyFile }) => chmod(keyFile, 0o604),
      /clientKeyFile of reg\.example \S+client\.key is open to others, .*chmod 0600/,
    ],
    ['a key that is not there', ({ keyFile }) => rm(keyFile), /client\.key cannot be read \(ENOENT\)/],
    [
      'a key of another certificate',
      async ({ keyFile }) => copyFile((await clients.issue('other')).keyFile, keyFile),
      /are no pair of a certificate and its unencrypted key/,
    ],
    [
      'something that is no certificate',
      ({ certFile }) => writeFile(certFile, 'x'),
      /are no pair of a certificate and its unencrypted key/,
    ],
  ]
  for (const [what, spoil, says] of bad) {
    test(`is refused at the start with ${what}`, async (t) => {
      const clientCertificate = await shown('node')
      await spoil(clientCertificate)
      const entry = listed('reg.example', new URL('https://reg.example'), { clientCertificate })
      await assert.rejects(
        followed(t, entry),
        (error: { code: string; message: string }) => error.code === 'CONFIG_INVALID' && says.test(error.message),
      )
    })
  }

  test('opens a real registry that demands one, to a real daemon', {
    skip: skipWithout('docker-registry', 'htpasswd'),
  }, async (t) => {
    const login = { username: 'ci', password: 'the password of the registry' }
    const registry = await startDockerRegistry({ login, clientCaFile: clients.certFile })
    t.after(() => registry.stop())
    const { certFile, keyFile } = await shown('node-9')
    const entry = {
      host: 'reg.example',
      upstream: registry.origin,
      caFile: registry.ca?.certFile,
      credential: 'required',
    }
    const said: [code: number, status: number, body: string][] = []
    for (const files of [{}, { clientCertFile: certFile, clientKeyFile: keyFile }]) {
      const daemon = await startDaemon({ registries: [{ ...entry, ...files }] })
      t.after(() => daemon.close())
      const args = ['login', 'reg.example', '--username', login.username, '--password-stdin']
      const { code } = await daemon.cli(args, { stdin: login.password })
      if (code !== 0) await daemon.cli([...args, '--no-verify'], { stdin: login.password })
      const headers = { 'regcredd-token': daemon.callerToken }
      const got = await askProxy(daemon.port(), '/v2/team/app/tags/list?ns=reg.example', {
        headers,
      })
      said.push([code ?? -1, got.status, got.body.toString()])
    }
    assert.deepEqual(
      said.map(([code, status]) => [code, status]),
      [
        [1, 502],
        [0, 404],
      ],
    )
    assert.match(said[0]?.[2] ?? '', /UPSTREAM_UNREACHABLE/)
    assert.match(said[1]?.[2] ?? '', /NAME_UNKNOWN/)
  })
})
