import assert from 'node:assert/strict'
import { chmod, copyFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import fc from 'fast-check'
import { readCrlTimes } from '../../src/proxy/crl-times.ts'
import { followTlsFiles, readTlsFiles } from '../../src/proxy/tls-files.ts'
import { eventually } from '../helpers/eventually.ts'
import { makeServerCertificate } from '../helpers/tls.ts'
import { skipWithout } from '../helpers/tools.ts'
import { makeTlsPlace, type TlsPlace } from './tls-kit.ts'

const LISTEN = { host: '127.0.0.1', port: 5050 }
const skip = skipWithout('openssl')

describe('the files of proxy.tls', { skip }, () => {
  let place: TlsPlace
  before(async () => {
    place = await makeTlsPlace()
  })
  after(() => place?.remove())
  const at = (name: string) => join(place.folder, name)

  test('are read with the times at which they end', async () => {
    const { endings, crls } = await readTlsFiles(place.paths, LISTEN)
    assert.deepEqual(
      endings.map(({ key }) => key),
      ['certFile', 'clientCaFile', 'crlFile'],
    )
    assert.equal(crls.length, 1)
    const [server, , crl] = endings.map(({ to }) => (to.getTime() - Date.now()) / 86_400_000)
    assert.ok(server !== undefined && server > 1.9 && server < 2.1, `${server} days`)
    assert.ok(crl !== undefined && crl > 0.9 && crl < 1.1, `${crl} days`)
  })

  for (const [mode, isTaken] of [
    [0o600, true],
    [0o400, true],
    [0o640, true],
    [0o644, false],
    [0o604, false],
    [0o660, false],
  ] as const) {
    test(`a key of mode ${mode.toString(8)} is ${isTaken ? 'taken' : 'refused'}`, async () => {
      const keyFile = at(`key-${mode}`)
      await copyFile(place.paths.keyFile, keyFile)
      await chmod(keyFile, mode)
      const reading = readTlsFiles({ ...place.paths, keyFile }, LISTEN)
      if (isTaken) await reading
      else
        await assert.rejects(reading, /proxy\.tls\.keyFile .*is open to others, or its group may write it; chmod 0600/)
    })
  }

  test('what a listener cannot serve with is refused, with the key, the file and what to do', async () => {
    const { clientCa, serverCa, paths } = place
    const garbage = at('garbage')
    await writeFile(garbage, 'no PEM', { mode: 0o600 })
    const other = await makeServerCertificate(serverCa, join(place.folder, 'server'), ['10.1.2.3'])
    const client = await clientCa.issue('client', {
      extensions: ['extendedKeyUsage = clientAuth', 'subjectAltName = IP:127.0.0.1'],
    })
    for (const [more, words] of [
      [{ certFile: at('nothing') }, /proxy\.tls\.certFile .*nothing cannot be read \(ENOENT\)/],
      [{ certFile: garbage }, /proxy\.tls\.certFile .*holds no certificate in PEM/],
      [
        { certFile: other.certFile, keyFile: other.keyFile },
        /is not for 127\.0\.0\.1; make one with subjectAltName IP/,
      ],
      [{ certFile: client.certFile, keyFile: client.keyFile }, /is not for servers/],
      [{ keyFile: other.keyFile }, /proxy\.tls\.keyFile .*is not the key of certFile/],
      [{ keyFile: garbage }, /proxy\.tls\.keyFile .*holds no key that can be used/],
      [{ clientCaFile: paths.certFile }, /proxy\.tls\.clientCaFile .*not an authority’s/],
      [{ crlFile: garbage }, /proxy\.tls\.crlFile .*holds no list of revoked certificates/],
    ] as const) {
      await assert.rejects(readTlsFiles({ ...paths, ...more }, LISTEN), (thrown: Error & { code?: string }) => {
        assert.equal(thrown.code, 'CONFIG_INVALID')
        assert.match(thrown.message, words)
        assert.doesNotMatch(thrown.message, /PRIVATE KEY/)
        return true
      })
    }
  })

  test('are followed; what cannot be served with changes nothing, and is told until it is mended', async () => {
    const followed = await makeTlsPlace()
    const said: string[] = []
    const log = {
      info: (_: object, words: string) => said.push(words),
      error: (_: object, words: string) => said.push(words),
    }
    const files = await followTlsFiles(followed.paths, LISTEN, log)
    try {
      let taken = 0
      files.onChange(() => taken++)
      const { cert } = files.now()
      await writeFile(followed.paths.certFile, 'half of a')
      await eventually('the fault is told', () => files.fault(), 15_000)
      assert.match(files.fault()?.message ?? '', /proxy\.tls\.certFile .*holds no certificate in PEM/)
      assert.equal(files.now().cert, cert)
      const renewed = await makeServerCertificate(followed.serverCa, join(followed.folder, 'server'), ['127.0.0.1'])
      await rename(renewed.keyFile, followed.paths.keyFile)
      await rename(renewed.certFile, followed.paths.certFile)
      await eventually('the new ones are taken', () => files.now().cert === renewed.cert, 15_000)
      assert.equal(files.fault(), undefined)
      assert.ok(taken >= 1)
      assert.ok(said.includes('the files of proxy.tls could not be read again; those from before serve on'))
    } finally {
      files.close()
      await followed.remove()
    }
  })

  test('a list’s times are read as openssl wrote them, with two digits of the year or four', async () => {
    const crl = at('times.pem')
    for (const toMs of [3_600_000, 40 * 365 * 86_400_000]) {
      await place.clientCa.writeCrl(crl, { fromMs: 0, toMs })
      const { crls } = await readTlsFiles({ ...place.paths, crlFile: crl }, LISTEN)
      const { nextUpdate } = readCrlTimes(crls[0] ?? '') ?? assert.fail()
      assert.ok(Math.abs((nextUpdate?.getTime() ?? 0) - Date.now() - toMs) < 30_000, String(nextUpdate))
    }
  })
})

test('no bytes make the reader of lists throw', () => {
  const pem = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64')
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void readCrlTimes(pem(bytes))))
  const nested = fc.array(fc.uint8Array({ maxLength: 20 }), { maxLength: 6 })
  const wrap = (content: Buffer) => Buffer.concat([Buffer.from([0x30, content.length & 0x7f]), content])
  fc.assert(fc.property(nested, (parts) => void readCrlTimes(pem(wrap(wrap(Buffer.concat(parts)))))))
})
