import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { it, type TestContext } from 'node:test'
import fc from 'fast-check'
import { connectDbus, decodeBooleanVariant, decodeString, encodeStrings, socketOf } from '../../src/keychain/dbus.ts'
import { createLockProbe, sessionBusAddress } from '../../src/keychain/secret-service.ts'
import { tempFolder } from './temp-folder.ts'

it('the socket of the first unix address is found', () => {
  assert.equal(socketOf('unix:path=/run/user/1000/bus'), '/run/user/1000/bus')
  assert.equal(socketOf('tcp:host=127.0.0.1,port=1;unix:guid=ab,path=/run/bus;unix:path=/other'), '/run/bus')
  assert.equal(socketOf('unix:abstract=/tmp/dbus-x,guid=ab'), '\0/tmp/dbus-x')
  assert.equal(socketOf('unix:path=/a%20b/%c3%bc%2c'), '/a b/ü,')
  for (const none of ['', 'unix:', 'autolaunch:', 'unix:dir=/tmp', 'tcp:host=::1', ';;', 'unix:path='])
    assert.equal(socketOf(none), undefined)
})

it('the bus is looked for where libdbus looks, and is never started', () => {
  assert.equal(sessionBusAddress({ DBUS_SESSION_BUS_ADDRESS: 'unix:path=/x', XDG_RUNTIME_DIR: '/run' }), 'unix:path=/x')
  assert.equal(socketOf(sessionBusAddress({ XDG_RUNTIME_DIR: '/run/a b' }) ?? ''), '/run/a b/bus')
  assert.equal(sessionBusAddress({ DISPLAY: ':0' }), undefined)
})

it('strings are laid out as the specification says', () => {
  const hex = (...texts: string[]) => encodeStrings(...texts).toString('hex')
  assert.equal(hex('foo'), '03000000666f6f00')
  assert.equal(hex(''), '0000000000')
  assert.equal(hex('+', 'bar'), '010000002b000000' + '0300000062617200')
  assert.equal(hex('ü'), '02000000c3bc00')
  assert.equal(decodeString(encodeStrings('ü')), 'ü')
})

it('only a boolean variant is read as one', () => {
  assert.equal(decodeBooleanVariant(Buffer.from('\x01b\0\0\x01\0\0\0', 'latin1')), true)
  assert.equal(decodeBooleanVariant(Buffer.from('\x01b\0\0\0\0\0\0', 'latin1')), false)
  for (const other of ['\x01u\0\0\x01\0\0\0', '\x01b\0', '', '\x01s\0\0\x01\0\0\0x\0']) {
    assert.equal(decodeBooleanVariant(Buffer.from(other, 'latin1')), undefined)
  }
})

it('whatever a bus sends, a probe ends with KEYCHAIN_UNAVAILABLE and never says unlocked', async (t) => {
  const noise = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes))
  const header = (bodySizeBytes: number, fieldsSizeBytes: number) => {
    const fixed = Buffer.from([0x6c, 2, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0])
    fixed.writeUInt32LE(bodySizeBytes, 4)
    fixed.writeUInt32LE(fieldsSizeBytes, 12)
    return fixed
  }
  const message = fc
    .tuple(fc.constantFrom(0, 8, 24, 65_536, 0xffffffff), fc.constantFrom(0, 8, 17, 65_536, 0xffffffff), noise)
    .map(([body, fields, rest]) => Buffer.concat([header(body, fields), rest]))
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('OK 12\r\n', 'REJECTED EXTERNAL\r\n', '\r\n', ''),
      fc.oneof(noise, message),
      async (line, sent) => {
        const socket = await fakeBus(t, Buffer.concat([Buffer.from(line), sent]))
        const probe = createLockProbe({ DBUS_SESSION_BUS_ADDRESS: `unix:path=${socket.path}` })
        await assert.rejects(probe.ask(AbortSignal.timeout(2_000)), { code: 'KEYCHAIN_UNAVAILABLE' })
        await socket.close()
      },
    ),
    { numRuns: 60 },
  )
})

it('a bus that never answers is left at the deadline', async (t) => {
  const server = createServer(() => undefined)
  const path = join(await tempFolder(t), 'bus')
  server.listen(path)
  await once(server, 'listening')
  t.after(() => server.close())
  await assert.rejects(connectDbus(path, AbortSignal.timeout(50)), { name: 'AbortError' })
})

/** A bus that sends these bytes to whoever connects, and hangs up. */
async function fakeBus(t: TestContext, sent: Buffer) {
  const path = join(await tempFolder(t), 'bus')
  const server = createServer((socket) => {
    socket.on('error', () => undefined).resume()
    socket.end(sent)
  })
  server.listen(path)
  await once(server, 'listening')
  return {
    path,
    close: async () => {
      server.close()
      await once(server, 'close')
    },
  }
}
