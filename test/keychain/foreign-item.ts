import { connectDbus, decodeString } from '../../src/keychain/dbus.ts'
import { sessionBusAddress } from '../../src/keychain/secret-service.ts'

const COLLECTION = '/org/freedesktop/secrets/collection/login'

/** Puts an item of another program into the keyring: it has our service, and no `account`, which makes keytar's listing crash. */
export async function addForeignItem(env: NodeJS.ProcessEnv, service: string): Promise<void> {
  const socket = sessionBusAddress(env)?.replace('unix:path=', '') ?? ''
  const bus = await connectDbus(socket, AbortSignal.timeout(5_000))
  const ask = async (path: string, on: string, member: string, signature: string, body: Buffer) => {
    const target = { destination: 'org.freedesktop.secrets', path, interface: `org.freedesktop.Secret.${on}` }
    const answer = await bus.call({ ...target, member, signature, body })
    if ('error' in answer) throw new Error(`${member}: ${answer.error}`)
    return answer.body
  }
  try {
    const session = writer()
    session.string('plain')
    session.signature('s')
    session.string('')
    const opened = await ask('/org/freedesktop/secrets', 'Service', 'OpenSession', 'sv', session.body())
    const path = decodeString(opened.subarray(opened.indexOf('/org/') - 4))
    await ask(COLLECTION, 'Collection', 'CreateItem', 'a{sv}(oayays)b', itemBody(service, path))
  } finally {
    bus.close()
  }
}

function itemBody(service: string, session: string): Buffer {
  const out = writer()
  out.array(8, () => {
    out.align(8)
    out.string('org.freedesktop.Secret.Item.Attributes')
    out.signature('a{ss}')
    out.array(8, () => {
      out.align(8)
      out.string('service')
      out.string(service)
    })
  })
  out.align(8)
  out.string(session)
  out.array(1, () => undefined)
  out.array(1, () => out.bytes(Buffer.from('theirs')))
  out.string('text/plain')
  out.uint32(0)
  return out.body()
}

/** Marshals values as the D-Bus specification has it, each at its alignment from the start of the body. */
function writer() {
  let written = Buffer.alloc(0)
  const bytes = (more: Uint8Array) => {
    written = Buffer.concat([written, more])
  }
  const align = (multiple: number) => bytes(Buffer.alloc((multiple - (written.length % multiple)) % multiple))
  const uint32 = (value: number) => {
    align(4)
    const four = Buffer.alloc(4)
    four.writeUInt32LE(value)
    bytes(four)
  }
  return {
    bytes,
    align,
    uint32,
    string(text: string) {
      uint32(Buffer.byteLength(text))
      bytes(Buffer.from(`${text}\0`))
    },
    signature: (text: string) => bytes(Buffer.from([text.length, ...Buffer.from(`${text}\0`)])),
    array(alignment: number, fill: () => void) {
      uint32(0)
      const at = written.length - 4
      align(alignment)
      const start = written.length
      fill()
      written.writeUInt32LE(written.length - start, at)
    },
    body: () => written,
  }
}
