import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chown, cp, mkdir, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { openFileKeychain } from '../../src/keychain/file.ts'
import { findKey } from '../../src/keychain/key-file.ts'
import { describeKeychain } from './conformance.ts'
import { makeKeyFile } from './key.ts'
import { passwordOf, sample, stateOf } from './sample.ts'
import { tempFolder } from './temp-folder.ts'

const KEY = 'r.example'

describeKeychain({
  name: 'a file',
  durable: true,
  open: async (t) => {
    const { open } = await store(t)
    return { keychain: await open(), reopen: open }
  },
})

describe('the file store', () => {
  it('shows no password, username or host on disk, and a mode of 0600', async (t) => {
    const { path, open } = await store(t)
    await (await open()).update(KEY, () => sample(KEY, 'canary-4711'))
    const text = await readFile(path, 'utf8')
    for (const word of ['canary', 'ci"', KEY]) assert.ok(!text.includes(word))
    assert.equal((await stat(path)).mode & 0o7777, 0o600)
  })

  it('encrypts under another nonce with each write', async (t) => {
    const { path, open } = await store(t)
    const keychain = await open()
    const nonces = new Set<string>()
    for (let round = 0; round < 20; round += 1) {
      await keychain.update(KEY, () => sample(KEY))
      nonces.add(JSON.parse(await readFile(path, 'utf8')).nonce)
    }
    assert.equal(nonces.size, 20)
  })

  it('finds every change of a single bit of its file', async (t) => {
    const { path, open } = await store(t)
    const keychain = await open()
    await keychain.update(KEY, () => sample(KEY))
    const whole = await readFile(path)
    const flip = fc.record({ at: fc.nat({ max: whole.length - 2 }), bit: fc.nat({ max: 7 }) })
    const property = fc.asyncProperty(flip, async ({ at, bit }) => {
      const changed = Buffer.from(whole)
      changed[at] = (changed[at] ?? 0) ^ (1 << bit)
      if (sameFile(changed.toString(), whole.toString())) return
      await writeFile(path, changed)
      await assert.rejects(keychain.get(KEY), hasCode('KEYCHAIN_CORRUPT', 'KEYCHAIN_UNAVAILABLE'))
      await assert.rejects(
        keychain.update(KEY, () => sample(KEY)),
        'a broken file must not be overwritten',
      )
    })
    await fc.assert(property, { numRuns: 300 })
  })

  it('finds a file that was cut at any byte', async (t) => {
    const { path, open } = await store(t)
    const keychain = await open()
    await keychain.update(KEY, () => sample(KEY))
    const whole = await readFile(path)
    for (let length = 0; length < whole.length - 1; length += 1) {
      await writeFile(path, whole.subarray(0, length))
      await assert.rejects(keychain.keys(), hasCode('KEYCHAIN_CORRUPT'))
    }
    assert.equal(await stateOf(keychain), 'unavailable')
  })

  it('tells a wrong key from a damaged file', async (t) => {
    const { path, folder, open } = await store(t)
    const keychain = await open()
    await keychain.update(KEY, () => sample(KEY))
    await keychain.close()
    await makeKeyFile(join(folder, 'other-key'))
    const other = await openFileKeychain(path, await findKey(join(folder, 'other-key'), {}))
    await assert.rejects(other.get(KEY), hasCode('KEYCHAIN_UNAVAILABLE', /was encrypted with the key [0-9a-f]{16}/))
    await assert.rejects(other.update(KEY, () => sample(KEY)))
  })

  it('names the host and the key of a file that was carried here without its key', async (t) => {
    const { path, open } = await store(t)
    const keychain = await open()
    await keychain.update(KEY, () => sample(KEY))
    await keychain.close()
    await cp(join(import.meta.dirname, 'fixtures/node-7.keychain'), path)
    await assert.rejects(
      (await open()).get(KEY),
      hasCode(
        'KEYCHAIN_UNAVAILABLE',
        /encrypted with the key d452b5530ca92c6f of the host node-7, and the configured key is/,
      ),
    )
  })

  it('reads a file of the first format and writes the present one', async (t) => {
    const { path, keyFile, open } = await store(t)
    await cp(join(import.meta.dirname, 'fixtures/format-1.keychain'), path)
    await writeFile(keyFile, Buffer.alloc(32, 7).toString('base64'))
    const keychain = await open()
    assert.equal(passwordOf(await keychain.get(KEY)), 'of format 1')
    await keychain.update('b.example', () => sample('b.example'))
    assert.match(await readFile(path, 'utf8'), /"version":2/)
    assert.deepEqual(await keychain.keys(), ['b.example', KEY])
  })

  it('opens with any key of its key file, and encrypts with the first from the next start on', async (t) => {
    const { path, keyFile, open } = await store(t)
    const first = await open()
    await first.update(KEY, () => sample(KEY, 'kept'))
    await first.close()
    const older = await readFile(keyFile, 'utf8')
    const sealedWith = async () => JSON.parse(await readFile(path, 'utf8')).keyId
    const before = await sealedWith()
    await makeKeyFile(keyFile)
    const newer = await readFile(keyFile, 'utf8')
    await writeFile(keyFile, newer + older)
    const second = await open()
    assert.notEqual(await sealedWith(), before)
    assert.equal(passwordOf(await second.get(KEY)), 'kept')
    await second.close()
    await writeFile(keyFile, newer)
    assert.equal(passwordOf(await (await open()).get(KEY)), 'kept')
  })

  it('does not take a file that has vanished for an empty keychain, and writes nothing in its place', async (t) => {
    const { path, open } = await store(t)
    const keychain = await open()
    await keychain.update(KEY, () => sample(KEY))
    const whole = await readFile(path)
    await rm(path)
    const attempts = [
      () => keychain.get(KEY),
      () => keychain.all(),
      () => keychain.update('b.example', () => sample('b.example')),
    ]
    for (const attempt of attempts)
      await assert.rejects(attempt, hasCode('KEYCHAIN_UNAVAILABLE', /as if it had never been; bring it back/))
    await writeFile(path, whole, { mode: 0o600 })
    assert.deepEqual(await keychain.keys(), [KEY])
  })

  it('stays the daemon’s when root opens and writes it', {
    skip: process.getuid?.() !== 0 && 'needs root',
  }, async (t) => {
    const { path, folder, open } = await store(t)
    await chown(folder, 65_534, 65_534)
    await (await open()).update(KEY, () => sample(KEY))
    for (const file of [path, `${path}.lock`]) {
      const { uid, gid, mode } = await stat(file)
      assert.deepEqual([uid, gid, mode & 0o7777], [65_534, 65_534, 0o600], file)
    }
  })

  it('gives nobody else’s file away when root meets a link in the place of the lock', {
    skip: process.getuid?.() !== 0 && 'needs root',
  }, async (t) => {
    const { path, folder, open } = await store(t)
    const foreign = join(await tempFolder(t), 'of-root')
    await writeFile(foreign, '')
    await chown(folder, 65_534, 65_534)
    await symlink(foreign, `${path}.lock`)
    await (await open()).update(KEY, () => sample(KEY))
    assert.deepEqual([(await stat(foreign)).uid, (await stat(path)).uid], [0, 65_534])
  })

  it('names the version of a file that a newer regcredd wrote', async (t) => {
    const { path, open } = await store(t)
    const keychain = await open()
    await keychain.update(KEY, () => sample(KEY))
    await writeFile(path, (await readFile(path, 'utf8')).replace('"version":2', '"version":3'))
    await assert.rejects(keychain.get(KEY), hasCode('KEYCHAIN_CORRUPT', /format 3/))
  })

  it('does not take a missing folder for an empty keychain', async (t) => {
    const { path, folder, open } = await store(t, 'sub')
    await assert.rejects((await open()).get(KEY), hasCode('KEYCHAIN_UNAVAILABLE', /ENOENT/))
    await mkdir(join(folder, 'sub'))
    const keychain = await open()
    assert.equal(await keychain.get(KEY), undefined)
    await keychain.update(KEY, () => sample(KEY))
    await rm(path)
    await mkdir(path)
    await assert.rejects(keychain.get(KEY), hasCode('KEYCHAIN_UNAVAILABLE', /EISDIR/))
    assert.equal(await stateOf(keychain), 'unavailable')
  })

  it('sweeps the temporary files of a killed process and touches no others', async (t) => {
    const { path, folder, open } = await store(t, 'sub')
    await mkdir(join(folder, 'sub'))
    const leftover = `${path}.0123456789abcdef.tmp`
    const foreign = `${path}.mine.tmp`
    await writeFile(leftover, 'old')
    await writeFile(foreign, 'not ours')
    const keychain = await open()
    assert.deepEqual((await readdir(join(folder, 'sub'))).sort(), ['keychain.json.lock', 'keychain.json.mine.tmp'])
    await keychain.update(KEY, () => sample(KEY))
    assert.ok((await readdir(join(folder, 'sub'))).includes('keychain.json.mine.tmp'))
  })

  it('is one daemon’s alone until that one has closed it', async (t) => {
    const { open } = await store(t)
    const first = await open()
    await assert.rejects(open(), hasCode('KEYCHAIN_UNAVAILABLE', /another daemon uses .*keychain\.json already/))
    await first.update(KEY, () => sample(KEY))
    await first.close()
    assert.equal((await (await open()).get(KEY))?.key, KEY)
  })

  it('is one daemon’s alone also where its folder came after the daemon', async (t) => {
    const { path, keyFile } = await store(t)
    const late = join(dirname(path), 'mounted-late/keychain.json')
    const openLate = async () => openFileKeychain(late, await findKey(keyFile, {}))
    const [first, second] = [await openLate(), await openLate()]
    await assert.rejects(first.get(KEY), hasCode('KEYCHAIN_UNAVAILABLE', /cannot be read \(ENOENT\)/))
    await mkdir(dirname(late))
    await first.update(KEY, () => sample(KEY, 'of the first'))
    await assert.rejects(
      second.update(KEY, () => sample(KEY)),
      hasCode('KEYCHAIN_UNAVAILABLE', /another daemon uses .*mounted-late\/keychain\.json already/),
    )
    await first.close()
    assert.equal(passwordOf(await second.update(KEY, (stored) => stored)), 'of the first')
  })

  it('says of a place that is no folder that it cannot be used', async (t) => {
    const { path, keyFile, open } = await store(t)
    await (await open()).update(KEY, () => sample(KEY))
    const below = openFileKeychain(join(path, 'below/keychain.json'), await findKey(keyFile, {}))
    await assert.rejects(below, hasCode('KEYCHAIN_UNAVAILABLE', /cannot be read \(ENOTDIR\)/))
  })

  it('loses no acknowledged write to kill -9', async (t) => {
    const { path, keyFile, open } = await store(t)
    for (let round = 0; round < 8; round += 1) {
      const acknowledged = await killedWriter(path, keyFile, 5 + round * 7)
      const keychain = await open()
      const stored = (await keychain.get(KEY))?.seq ?? 0
      await keychain.close()
      // The last update may have been written and its acknowledgement not.
      assert.ok(stored === acknowledged || stored === acknowledged + 1, `${stored} after ${acknowledged}`)
    }
  })
})

async function store(t: TestContext, subfolder = '') {
  const folder = await tempFolder(t)
  const keyFile = join(folder, 'key')
  await makeKeyFile(keyFile)
  const path = join(folder, subfolder, 'keychain.json')
  return { folder, keyFile, path, open: async () => openFileKeychain(path, await findKey(keyFile, {})) }
}

function hasCode(code: string, orDetail?: string | RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof Error && 'code' in error)
    if (typeof orDetail === 'string') assert.ok(error.code === code || error.code === orDetail, error.message)
    else assert.equal(error.code, code)
    if (orDetail instanceof RegExp) assert.match(error.message, orDetail)
    return true
  }
}

/** Whether two texts hold the same header, nonce and bytes: base64 and UTF-8 decoding both forgive a few bits. */
function sameFile(one: string, other: string): boolean {
  try {
    const [left, right] = [JSON.parse(one), JSON.parse(other)]
    const bytes = (text: unknown) => Buffer.from(String(text), 'base64').toString('hex')
    return (
      left.format === right.format &&
      left.version === right.version &&
      left.keyId === right.keyId &&
      bytes(left.nonce) === bytes(right.nonce) &&
      bytes(left.sealed) === bytes(right.sealed)
    )
  } catch {
    return false
  }
}

/** Lets a child count up, kills it `delayMs` after its first acknowledgement, and gives the last number that it acknowledged. */
async function killedWriter(path: string, keyFile: string, delayMs: number): Promise<number> {
  const script = join(import.meta.dirname, 'file-writer.ts')
  const child = spawn(process.execPath, [script, path, keyFile], { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    output += chunk
  })
  await once(child.stdout, 'data')
  await sleep(delayMs)
  child.kill('SIGKILL')
  await once(child, 'close')
  return Number(output.split('\n').at(-2))
}
