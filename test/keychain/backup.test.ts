import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import { RegcreddError } from '../../src/errors.ts'
import { backup, restore } from '../../src/keychain/backup.ts'
import { openBackup, sealBackup } from '../../src/keychain/backup-file.ts'
import { parseBackupFile } from '../../src/keychain/backup-form.ts'
import type { Items } from '../../src/keychain/items.ts'
import { createKeychain } from '../../src/keychain/keychain.ts'
import { createMemoryItems } from '../../src/keychain/memory.ts'
import { Secret } from '../../src/secret.ts'
import { PASSPHRASE } from './crash-act.ts'
import { passwordOf, sample } from './sample.ts'
import { tempFolder } from './temp-folder.ts'

const KEY = 'r.example'
const ORIGIN = { createdAt: '2026-01-02T03:04:05.000Z', host: 'node-1' }
const APPLY = { older: 'refuse', dryRun: false } as const
const fixture = (name: string) => join(import.meta.dirname, 'fixtures', name)

async function store(...keys: string[]): Promise<Items> {
  const items = createMemoryItems()
  for (const key of keys) await createKeychain(items).update(key, () => sample(key, 'canary-4711'))
  return items
}

async function written(t: TestContext, items: Items) {
  const path = join(await tempFolder(t), 'backup')
  const done = await backup(items, { path, passphrase: PASSPHRASE, ...ORIGIN }, 'refuse')
  return { path, done, text: await readFile(path, 'utf8') }
}

test('a backup brings back every credential and every deletion, and shows none of it to others', async (t) => {
  const items = await store(KEY, 'b.example', 'gone.example')
  await createKeychain(items).update('gone.example', () => undefined)
  const { path, text, done } = await written(t, items)
  assert.deepEqual(done, { credentials: 2, deletions: 1, broken: [] })
  for (const word of ['canary', 'ci"', 'example', 'gone']) assert.ok(!text.includes(word), word)
  assert.equal((await stat(path)).mode & 0o7777, 0o600)
  const target = createMemoryItems()
  const { createdAt, host } = await restore({ path, passphrase: PASSPHRASE }, target, APPLY)
  assert.deepEqual({ createdAt, host }, ORIGIN)
  assert.deepEqual(await target.readAll(), await items.readAll())
  assert.equal((await createKeychain(target).update('gone.example', () => sample('gone.example')))?.seq, 3)
})

test('a backup of the first format is read', async () => {
  const target = createMemoryItems()
  const from = { path: fixture('format-1.backup'), passphrase: PASSPHRASE }
  const { createdAt, host, steps } = await restore(from, target, APPLY)
  assert.deepEqual([createdAt, host], [undefined, undefined])
  assert.deepEqual(
    steps.map((step) => [step.key, step.do, step.gets, step.isDeletion]),
    [
      ['gone.example', 'add', 4, true],
      [KEY, 'add', 3, false],
    ],
  )
  assert.equal(passwordOf(await createKeychain(target).get(KEY)), 'of format 1')
})

test('a wrong passphrase, a damaged file, another header, a newer format and a foreign file are told from each other', async (t) => {
  const { text } = await written(t, await store(KEY))
  const file = JSON.parse(text)
  const sealed = Buffer.from(file.sealed, 'base64')
  sealed[3] = (sealed[3] ?? 0) ^ 1
  for (const [changed, passphrase, says] of [
    [text, new Secret('another passphrase, quite'), /another passphrase/],
    [JSON.stringify({ ...file, sealed: sealed.toString('base64') }), PASSPHRASE, /was damaged/],
    [JSON.stringify({ ...file, host: 'node-2' }), PASSPHRASE, /was damaged/],
    [JSON.stringify({ ...file, version: 3 }), PASSPHRASE, /format 3, which another version/],
    [JSON.stringify({ ...file, kdf: { ...file.kdf, n: 2 ** 30 } }), PASSPHRASE, /was damaged/],
    ['{"format":"regcredd-keychain","version":2}', PASSPHRASE, /no backup of regcredd/],
    [text.slice(0, -40), PASSPHRASE, /cut off/],
  ] as const) {
    await assert.rejects(openBackup(changed, passphrase), (error: Error) => {
      assert.ok(error instanceof RegcreddError && error.code === 'BACKUP_UNREADABLE')
      assert.match(error.message, says)
      return !`${error.stack}${error.cause}`.includes('canary')
    })
  }
})

test('whatever stands in a file, it is a backup or is refused as none', () => {
  const valid = {
    format: 'regcredd-backup',
    version: 2,
    createdAt: 'x',
    host: 'y',
    check: 'z',
    nonce: 'AAAAAAAAAAAAAAAA',
  }
  const part = fc.record(
    { kdf: fc.jsonValue(), sealed: fc.jsonValue(), version: fc.oneof(fc.nat(3), fc.jsonValue()), host: fc.jsonValue() },
    { requiredKeys: [] },
  )
  const text = fc.oneof(
    fc.string(),
    fc.json(),
    part.map((one) => JSON.stringify({ ...valid, ...one })),
  )
  fc.assert(
    fc.property(text, (given) => {
      try {
        parseBackupFile(given)
      } catch (error) {
        assert.ok(error instanceof RegcreddError && error.code === 'BACKUP_UNREADABLE', String(error))
      }
    }),
  )
})

test('two backups of the same credentials have nothing in common that tells so', async () => {
  const items = await (await store(KEY)).readAll()
  const [one, other] = [await sealBackup(items, PASSPHRASE, ORIGIN), await sealBackup(items, PASSPHRASE, ORIGIN)].map(
    (text) => JSON.parse(text),
  )
  for (const name of ['nonce', 'sealed', 'check']) assert.notEqual(one[name], other[name], name)
  assert.notEqual(one.kdf.salt, other.kdf.salt)
})

test('a backup does not overwrite a file', async (t) => {
  const { path, text } = await written(t, await store(KEY))
  await assert.rejects(backup(await store('b.example'), { path, passphrase: PASSPHRASE, ...ORIGIN }, 'refuse'), {
    code: 'USAGE',
    message: /is there already/,
  })
  assert.equal(await readFile(path, 'utf8'), text)
})

test('an item that cannot be read stops a backup, or is left out and named', async (t) => {
  const folder = await tempFolder(t)
  const items = await store(KEY)
  await items.write('b.example', new Secret('{"canary-4711'))
  const to = { path: join(folder, 'backup'), passphrase: PASSPHRASE, ...ORIGIN }
  await assert.rejects(backup(items, to, 'refuse'), { code: 'KEYCHAIN_CORRUPT', message: /^((?!canary).)*$/ })
  assert.deepEqual(await readdir(folder), [])
  assert.deepEqual(await backup(items, to, 'skip'), { credentials: 1, deletions: 0, broken: ['b.example'] })
})

test('a restore does nothing where the store holds something newer, unless it is told to, and nothing at all in a dry run', async (t) => {
  const items = await store(KEY, 'b.example')
  const { path } = await written(t, items)
  const keychain = createKeychain(items)
  await keychain.update(KEY, () => ({ ...sample(KEY, 'newer'), seq: 9 }))
  await items.write('b.example', undefined)
  const before = await items.readAll()
  const from = { path, passphrase: PASSPHRASE }
  const { steps } = await restore(from, items, { older: 'replace', dryRun: true })
  assert.deepEqual(
    steps.map((step) => [step.key, step.do, step.has, step.gets]),
    [
      ['b.example', 'add', undefined, 1],
      [KEY, 'back', 9, 1],
    ],
  )
  await assert.rejects(restore(from, items, APPLY), {
    code: 'KEYCHAIN_NEWER',
    message: /r\.example \(seq 9 there, 1 to be put in\)/,
  })
  assert.deepEqual(await items.readAll(), before)
  await restore(from, items, { older: 'replace', dryRun: false })
  const back = await keychain.get(KEY)
  assert.deepEqual([back?.seq, back?.current, passwordOf(back)], [10, 'v2', 'canary-4711'])
})

test('a restore mends an item that cannot be read, and keeps what the backup does not hold', async (t) => {
  const items = await store(KEY)
  const { path } = await written(t, items)
  await items.write(KEY, new Secret('not an item'))
  await createKeychain(items).update('b.example', () => sample('b.example', 'kept'))
  const { steps } = await restore({ path, passphrase: PASSPHRASE }, items, APPLY)
  assert.deepEqual(
    steps.map((step) => step.do),
    ['keep', 'mend'],
  )
  assert.equal(passwordOf(await createKeychain(items).get(KEY)), 'canary-4711')
  assert.equal(passwordOf(await createKeychain(items).get('b.example')), 'kept')
})

test('a backup that is not there is told of with its path', async () => {
  await assert.rejects(restore({ path: '/nonexistent/b', passphrase: PASSPHRASE }, createMemoryItems(), APPLY), {
    code: 'BACKUP_UNREADABLE',
    message: /\/nonexistent\/b cannot be read \(ENOENT\)/,
  })
})

test('a backup that cannot be written says why', async (t) => {
  const file = join(await tempFolder(t), 'file')
  await writeFile(file, '')
  for (const [path, reason] of [
    ['/nonexistent/b', 'ENOENT'],
    [`${file}/b`, 'ENOTDIR'],
  ] as const)
    await assert.rejects(backup(await store(KEY), { path, passphrase: PASSPHRASE, ...ORIGIN }, 'refuse'), {
      code: 'BACKUP_UNWRITABLE',
      message: new RegExp(`${path} cannot be written \\(${reason}\\)`),
    })
})

test('nothing is no backup: an empty keychain is hardly the one that was meant', async (t) => {
  const path = join(await tempFolder(t), 'backup')
  await assert.rejects(backup(createMemoryItems(), { path, passphrase: PASSPHRASE, ...ORIGIN }, 'refuse'), {
    code: 'USAGE',
    message: /holds nothing to back up/,
  })
  assert.equal(existsSync(path), false)
})
