import assert from 'node:assert/strict'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, beforeEach, describe, test } from 'node:test'
import { followTlsFiles, type TlsFiles } from '../../src/proxy/tls-files.ts'
import { Secret } from '../../src/secret.ts'
import { makeClientCa } from '../helpers/client-tls.ts'
import { type FakeRegistry, startFakeRegistry } from '../helpers/fake-registry.ts'
import { listed, startTestProxy, type TestProxy } from '../helpers/proxy.ts'
import type { Certificate } from '../helpers/tls.ts'
import { skipWithout } from '../helpers/tools.ts'
import { askTls, makeTlsPlace, type TlsPlace } from './tls-kit.ts'

const NAME = 'registry.corp.example'
const MANIFEST = `/v2/team/app/manifests/1?ns=${NAME}`
const TOKEN = 'a-caller-token-of-at-least-32-characters'
const skip = skipWithout('openssl')
const quiet = { info: () => {}, error: () => {} }

describe('callers with a client certificate', { skip }, () => {
  let place: TlsPlace
  let files: TlsFiles
  let registry: FakeRegistry
  let proxy: TestProxy
  let good: Certificate
  const refused: [what: string, certificate: () => Certificate | undefined, words: RegExp][] = []

  before(async () => {
    place = await makeTlsPlace()
    const { clientCa, folder, paths } = place
    good = await clientCa.issue('node-1')
    const strangers = join(folder, 'strangers')
    await mkdir(strangers)
    const stranger = await (await makeClientCa(strangers)).issue('node-1')
    const expired = await clientCa.issue('expired', { fromMs: -120_000, toMs: -60_000 })
    const early = await clientCa.issue('early', { fromMs: 3_600_000 })
    const revoked = await clientCa.issue('revoked')
    await clientCa.revoke(revoked)
    await clientCa.writeCrl(paths.crlFile)
    const server = await clientCa.issue('server', { extensions: ['extendedKeyUsage = serverAuth'] })
    const useless = await clientCa.issue('useless', { extensions: [] })
    const nobody = await clientCa.issue('nobody', { subject: '/O=corp' })
    refused.push(
      ['none', () => undefined, /needs a client certificate: none was shown/],
      ['another authority’s', () => stranger, /no authority of proxy.tls.clientCaFile has signed it/],
      ['one that has expired', () => expired, /it has expired/],
      ['one that is not good yet', () => early, /it is not good yet/],
      ['one that is revoked', () => revoked, /it is revoked/],
      ['one for servers', () => server, /not for clients \(extendedKeyUsage clientAuth\)/],
      ['one that says of no use', () => useless, /not for clients \(extendedKeyUsage clientAuth\)/],
      ['one that names nobody', () => nobody, /it names nobody/],
    )
    registry = await startFakeRegistry({ auth: 'basic', password: 'current' })
    registry.addManifest('team/app', '1', { schemaVersion: 2 })
    files = await followTlsFiles(paths, { host: '127.0.0.1', port: 0 }, quiet)
  })
  beforeEach(async () => {
    await proxy?.close(0)
    const entries = (['token', 'pull-secret', 'open'] as const).map((callers) =>
      listed(`${callers}.example`, registry.origin, { callers }),
    )
    proxy = await startTestProxy([listed(NAME, registry.origin), ...entries], {
      mode: 'mtls',
      token: new Secret(TOKEN),
      tls: files,
    })
    for (const { name } of [{ name: NAME }, ...entries]) proxy.setCredential(name, { current: 'current' })
    registry.requests.length = 0
  })
  after(async () => {
    await proxy?.close(0)
    files?.close()
    await registry?.close()
    await place?.remove()
  })
  const ask = (path: string, show?: Certificate, headers: Record<string, string> = {}) =>
    askTls(place, proxy.port, path, { show, headers })
  const codeOf = (body: Buffer): string => JSON.parse(body.toString()).errors[0].detail.code

  test('a good one opens, and is named as the caller', async () => {
    const got = await ask(MANIFEST, good)
    assert.deepEqual([got.status, got.protocol], [200, 'TLSv1.3'])
    assert.deepEqual(proxy.begun[0]?.caller, { kind: 'mtls', name: 'node-1' })
  })

  test('one without a common name is named by its first alternative name', async () => {
    const extensions = ['extendedKeyUsage = clientAuth', 'subjectAltName = URI:spiffe://corp.example/node/7,DNS:node-7']
    const shown = await place.clientCa.issue('node-7', { extensions, subject: '/O=corp' })
    assert.equal((await ask(MANIFEST, shown)).status, 200)
    assert.deepEqual(proxy.begun[0]?.caller, { kind: 'mtls', name: 'spiffe://corp.example/node/7' })
  })

  test('none, or one that is not good, is a 403 with words, and nothing is sent to the registry', async () => {
    for (const [what, certificate, words] of refused) {
      const got = await ask(MANIFEST, certificate())
      assert.deepEqual([got.status, codeOf(got.body)], [403, 'CALLER_REFUSED'], what)
      assert.match(JSON.parse(got.body.toString()).errors[0].message, words, what)
      assert.equal(got.headers['www-authenticate'], undefined, what)
    }
    assert.equal(registry.requests.length, 0)
    assert.equal(proxy.begun.length, 0)
    assert.equal(refused.length, 8)
  })

  test('registries of other modes need no certificate over the same port, and none opens them', async () => {
    const of = (mode: string) => `/v2/team/app/manifests/1?ns=${mode}.example`
    assert.equal((await ask(of('open'))).status, 200)
    assert.equal((await ask(of('token'), undefined, { 'regcredd-token': TOKEN })).status, 200)
    const authorization = `Basic ${Buffer.from('ci:current').toString('base64')}`
    assert.equal((await ask(of('pull-secret'), undefined, { authorization })).status, 200)
    assert.equal((await ask(of('token'), good)).status, 403)
    assert.equal((await ask(of('pull-secret'), good)).status, 401)
  })

  test('a ping challenges where a registry of another mode needs a login', async () => {
    const got = await ask('/v2/')
    assert.deepEqual([got.status, got.headers['www-authenticate']], [401, 'Basic realm="regcredd"'])
    assert.equal((await ask('/v2/', good)).status, 401)
  })

  test('a ping is let through where no registry needs another login, so that the refusal comes with its words', async () => {
    await proxy.close(0)
    proxy = await startTestProxy([listed(NAME, registry.origin)], { mode: 'mtls', tls: files })
    assert.equal((await ask('/v2/', good)).status, 200)
    assert.equal((await ask('/v2/')).status, 200)
    assert.equal((await ask(MANIFEST)).status, 403)
  })

  test('one that ends while its connection stands opens no more', async () => {
    const short = await place.clientCa.issue('short', { toMs: 3_600_000 })
    assert.equal((await ask(MANIFEST, short)).status, 200)
    proxy.clock.aheadMs = 3_700_000
    const got = await ask(MANIFEST, short)
    assert.equal(got.status, 403)
    assert.match(got.body.toString(), /it has expired/)
  })

  test('TLS 1.2 is spoken, 1.1 is not', async () => {
    const got = await askTls(place, proxy.port, MANIFEST, { show: good, tls: { maxVersion: 'TLSv1.2' } })
    assert.deepEqual([got.status, got.protocol], [200, 'TLSv1.2'])
    const old = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }
    await assert.rejects(askTls(place, proxy.port, MANIFEST, { show: good, tls: old }), /EPROTO|alert|version/)
  })
})
