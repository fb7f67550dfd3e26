import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, type TestContext, test } from 'node:test'
import { openBackup, sealBackup } from '../../src/keychain/backup-file.ts'
import { openFileKeychain } from '../../src/keychain/file.ts'
import { formatItem } from '../../src/keychain/item.ts'
import { findKey } from '../../src/keychain/key-file.ts'
import type { Keychain } from '../../src/keychain/keychain.ts'
import { noMark } from '../../src/keychain/mark.ts'
import { createOsKeychain } from '../../src/keychain/os.ts'
import { createHelperProcess } from '../../src/keychain/os-process.ts'
import { createLockProbe } from '../../src/keychain/secret-service.ts'
import { readSources } from '../design/project.ts'
import { skipWithoutKeyring, startKeyring } from '../helpers/keyring.ts'
import { osConfig, PASSPHRASE, perform } from './crash-act.ts'
import { makeKeyFile } from './key.ts'
import { passwordOf, sample } from './sample.ts'

const KEYS = ['a.example', 'b.example']
const DELETED = 'gone.example'
const MOST_POINTS = 60
const visited = new Set<string>()
// What is killed loses nothing that the kernel has been given, so no disk is needed to tell.
if (existsSync('/dev/shm')) process.env['TMPDIR'] = '/dev/shm'

type Place = { folder: string; open(name?: string): Promise<Keychain>; path(name: string): string }

function placeIn(folder: string): Place {
  const path = (name: string) => join(folder, name)
  return {
    folder,
    path,
    open: async (name = 'keychain.json') => openFileKeychain(path(name), await findKey(path('key'), {})),
  }
}

/** A file store with two credentials and the trace of a third, and a backup in which one of them is older. */
async function setUp(): Promise<Place> {
  const place = placeIn(await mkdtemp(join(tmpdir(), 'regcredd-crash-')))
  const { path, open } = place
  await makeKeyFile(path('key'))
  const keychain = await open()
  for (const key of [...KEYS, DELETED]) await keychain.update(key, () => ({ ...sample(key, `of ${key}`), seq: 5 }))
  await keychain.update(DELETED, () => undefined)
  await keychain.close()
  const older = { ...sample('b.example', 'older'), seq: 2 }
  const items = new Map([older, sample('c.example', 'of the backup')].map((one) => [one.key, formatItem(one.key, one)]))
  const origin = { createdAt: '2026-01-02T03:04:05.000Z', host: 'node-1' }
  await writeFile(path('backup'), await sealBackup(items, PASSPHRASE, origin))
  return place
}

let pristine: Place

async function isWhole(keychain: Keychain): Promise<boolean> {
  const all = await keychain.all()
  return KEYS.every((key) => {
    const read = all.get(key)
    if (read === undefined || read instanceof Error) return false
    // A restore puts an older password back, as a change.
    return (read.seq === 5 && passwordOf(read) === `of ${key}`) || (read.seq > 5 && passwordOf(read) === 'older')
  })
}

async function dieAt(at: number, place: Place, act: string, env: NodeJS.ProcessEnv): Promise<'killed' | 'done'> {
  const cache = { NODE_COMPILE_CACHE: pristine.path('cache') }
  const child = spawn(process.execPath, [join(import.meta.dirname, 'crash-child.ts'), place.folder, act, String(at)], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { PATH: process.env['PATH'], ...cache, ...env },
  })
  let said = ''
  child.stderr.on('data', (chunk) => (said += chunk))
  const [code, signal] = await once(child, 'close')
  for (const point of (await readFile(place.path('points'), 'utf8')).trimEnd().split('\n')) visited.add(point)
  if (signal === 'SIGKILL') return 'killed'
  assert.equal(code, 0, said)
  return 'done'
}

/** Kills the act at its first point, its second, and so on, each time from the beginning, until it passes them all. */
async function atEveryPoint(
  t: TestContext,
  act: string,
  check: (place: Place, at: number) => Promise<void>,
  env: NodeJS.ProcessEnv = {},
  prepare: (place: Place) => Promise<void> = async () => undefined,
) {
  for (let at = 1; at <= MOST_POINTS; at += 1) {
    const place = placeIn(pristine.path(`${act} ${at}`.replaceAll(' ', '-')))
    await mkdir(place.folder, { mode: 0o700 })
    for (const name of ['key', 'keychain.json', 'backup']) await cp(pristine.path(name), place.path(name))
    await prepare(place)
    if ((await dieAt(at, place, act, env)) === 'done') {
      t.diagnostic(`${act}: ${at - 1} points`)
      assert.ok(at > 3, 'no points were passed')
      return
    }
    await check(place, at)
  }
  assert.fail(`more than ${MOST_POINTS} points`)
}

/** Keychains of places in a keyring, by one helper for all, which claims no name: the processes that are killed do. */
function lookInto(t: TestContext, environment: NodeJS.ProcessEnv): (place: Place) => Keychain {
  const helper = createHelperProcess({ timeoutMs: 30_000, environment })
  const probe = createLockProbe(environment)
  t.after(async () => {
    probe.close()
    await helper.close()
  })
  return ({ folder }) =>
    createOsKeychain({ ...osConfig(folder), helper, probe: { ...probe, claim: async () => undefined } })
}

describe('killed', { concurrency: 2 }, () => {
  before(async () => {
    pristine = await setUp()
  })
  after(() => rm(pristine.folder, { recursive: true }))

  test('after kill -9 at any point of a rekey the key file opens the store, and a second run ends what the first began', async (t) => {
    await atEveryPoint(t, 'rekey', async (place, at) => {
      const keychain = await place.open()
      assert.ok(await isWhole(keychain), `point ${at}`)
      await keychain.close()
      await perform(place.folder, 'rekey', {}, noMark)
      assert.equal((await readFile(place.path('key'), 'utf8')).trim().split('\n').length, 1, 'one key is left')
      const left = (await readdir(place.folder)).filter((name) => name.endsWith('.tmp'))
      assert.deepEqual(left, [], 'no key lies about')
      const after = await place.open()
      assert.ok(await isWhole(after), `after the second run, point ${at}`)
    })
  })

  test('after kill -9 at any point of a migration that deletes its source one of the two stores holds all, and a second run ends it', async (t) => {
    await atEveryPoint(t, 'migrate', async (place, at) => {
      const [from, to] = [await place.open(), await place.open('target.json')]
      assert.ok((await isWhole(from)) || (await isWhole(to)), `point ${at}`)
      await from.close()
      await to.close()
      await perform(place.folder, 'migrate', {}, noMark)
      const [source, target] = [await place.open(), await place.open('target.json')]
      assert.deepEqual(await source.keys(), [])
      assert.ok(await isWhole(target))
      assert.equal((await target.update(DELETED, () => sample(DELETED)))?.seq, 7, 'the trace of a deletion came along')
    })
  })

  test('after kill -9 at any point of a migration into a keyring one of the two holds all, and a second run ends it', {
    skip: skipWithoutKeyring(),
  }, async (t) => {
    const keyring = await startKeyring()
    t.after(() => keyring.close())
    const look = lookInto(t, keyring.env)
    await atEveryPoint(
      t,
      'migrate to the keyring',
      async (place, at) => {
        const [from, to] = [await place.open(), look(place)]
        assert.ok((await isWhole(from)) || (await isWhole(to)), `point ${at}`)
        await from.close()
        await perform(place.folder, 'migrate to the keyring', keyring.env, noMark)
        const [source, target] = [await place.open(), look(place)]
        assert.deepEqual(await source.keys(), [])
        assert.ok(await isWhole(target))
      },
      keyring.env,
    )
  })

  test('after kill -9 at any point of a migration out of a keyring one of the two holds all, and a second run ends it', {
    skip: skipWithoutKeyring(),
  }, async (t) => {
    const keyring = await startKeyring()
    t.after(() => keyring.close())
    const look = lookInto(t, keyring.env)
    const fill = async (place: Place) => {
      await rm(place.path('keychain.json'))
      const from = look(place)
      for (const key of KEYS) await from.update(key, () => ({ ...sample(key, `of ${key}`), seq: 5 }))
    }
    await atEveryPoint(
      t,
      'migrate from the keyring',
      async (place, at) => {
        const [to, from] = [await place.open(), look(place)]
        assert.ok((await isWhole(from)) || (await isWhole(to)), `point ${at}`)
        await to.close()
        await perform(place.folder, 'migrate from the keyring', keyring.env, noMark)
        const [target, source] = [await place.open(), look(place)]
        assert.deepEqual(await source.keys(), [])
        assert.ok(await isWhole(target))
      },
      keyring.env,
      fill,
    )
  })

  test('after kill -9 at any point of a restore the store opens and holds all that it held, no seq has shrunk, and a second run ends it', async (t) => {
    await atEveryPoint(t, 'restore', async (place, at) => {
      const keychain = await place.open()
      assert.ok(await isWhole(keychain), `point ${at}`)
      await keychain.close()
      await perform(place.folder, 'restore', {}, noMark)
      const after = await place.open()
      assert.ok(await isWhole(after))
      assert.equal(passwordOf(await after.get('c.example')), 'of the backup')
      assert.ok(((await after.get('b.example'))?.seq ?? 0) > 5)
      assert.equal((await after.update(DELETED, () => sample(DELETED)))?.seq, 7)
    })
  })

  test('after kill -9 at any point of a backup there is a whole one or none', async (t) => {
    await atEveryPoint(t, 'backup', async (place) => {
      if (existsSync(place.path('new-backup'))) {
        const text = await readFile(place.path('new-backup'), 'utf8')
        assert.equal((await openBackup(text, PASSPHRASE)).items.size, 3)
        await rm(place.path('new-backup'))
      }
      await perform(place.folder, 'backup', {}, noMark)
    })
  })
})

test('every point that the sources mark was visited', async () => {
  const marked = [...(await readSources())].flatMap(([path, text]) =>
    path.startsWith('keychain/') ? [...text.matchAll(/\bmark\('([^']+)'\)/g)].map(([, point]) => point ?? '') : [],
  )
  assert.ok(marked.length > 8)
  assert.deepEqual(
    marked.filter((point) => !visited.has(point)),
    [],
  )
})
