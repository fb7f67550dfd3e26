import assert from 'node:assert/strict'
import { chmod, mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { RegcreddError } from '../src/errors.ts'
import { followFiles } from '../src/followed-files.ts'
import { eventually } from './helpers/eventually.ts'

const LOOK_MS = 10

async function followed(
  t: TestContext,
  read: (path: string) => Promise<string> = (path) => readFile(path, 'utf8'),
  intervalMs = LOOK_MS,
) {
  const folder = await mkdtemp(join(tmpdir(), 'regcredd-followed-'))
  t.after(() => rm(folder, { recursive: true }))
  const path = join(folder, 'file')
  await writeFile(path, 'first')
  const told: (string | undefined)[] = []
  const taken: string[] = []
  const files = await followFiles([path], () => read(path), {
    onNews: (fault) => void told.push(fault?.detail ?? fault?.code),
    intervalMs,
  })
  t.after(() => files.close())
  files.onChange((value) => void taken.push(value))
  return { folder, path, files, told, taken }
}

test('a change is taken and told once, and so is one by way of a link', async (t) => {
  const { folder, path, files, told, taken } = await followed(t)
  await writeFile(path, 'second')
  await eventually('it is taken', () => files.now() === 'second')
  await mkdir(join(folder, 'next'))
  await writeFile(join(folder, 'next/file'), 'third')
  await symlink(join(folder, 'next/file'), join(folder, 'link'))
  await rename(join(folder, 'link'), path)
  await eventually('it is taken', () => files.now() === 'third')
  await sleep(5 * LOOK_MS)
  assert.deepEqual([taken.at(-1), told.at(-1)], ['third', undefined])
  assert.ok(taken.length <= 4, 'what did not change is not read again')
})

test('the kernel tells of a change long before the next look, also of one while the last is being read', async (t) => {
  let reads = 0
  const slowly = async (path: string) => {
    const text = await readFile(path, 'utf8')
    reads += 1
    await sleep(300)
    return text
  }
  const { folder, path, files } = await followed(t, slowly, 600_000)
  for (const text of ['second', 'third']) {
    const before = reads
    await writeFile(join(folder, 'new'), text)
    await rename(join(folder, 'new'), path)
    await eventually('it is being read', () => reads > before)
  }
  await eventually('the last is taken', () => files.now() === 'third')
})

test('what cannot be used changes nothing, is told once for each reason, and is tried again', async (t) => {
  let isBroken = false
  const { path, files, told } = await followed(t, async (path) => {
    if (isBroken) throw new RegcreddError('CONFIG_INVALID', 'no descriptor is free')
    return readFile(path, 'utf8')
  })
  isBroken = true
  await writeFile(path, 'second')
  await eventually('it is told', () => files.fault()?.detail === 'no descriptor is free')
  await sleep(5 * LOOK_MS)
  assert.equal(files.now(), 'first')
  assert.deepEqual(told, ['no descriptor is free'])
  // The file is as it was; only its reader can again.
  isBroken = false
  await eventually('it is taken', () => files.now() === 'second')
  assert.deepEqual(told, ['no descriptor is free', undefined])
  assert.equal(files.fault(), undefined)
})

test('what changes while it is read for the first time is not missed', async (t) => {
  let reads = 0
  const { files } = await followed(t, async (path) => {
    const text = await readFile(path, 'utf8')
    reads += 1
    if (reads === 1) await writeFile(path, 'meanwhile')
    return text
  })
  assert.equal(files.now(), 'first')
  await eventually('it is taken', () => files.now() === 'meanwhile')
})

test('a change of rights alone is a change, and readings do not overlap', async (t) => {
  let [reads, underWay, most] = [0, 0, 0]
  let held = Promise.resolve()
  const release = Promise.withResolvers<void>()
  const { folder, path } = await followed(t, async () => {
    reads += 1
    underWay += 1
    most = Math.max(most, underWay)
    await held
    underWay -= 1
    return ''
  })
  held = release.promise
  await chmod(path, 0o600)
  await eventually('it is read', () => reads === 2)
  // In one step: to be emptied and written would be two changes.
  await writeFile(join(folder, 'new'), 'x')
  await rename(join(folder, 'new'), path)
  await sleep(5 * LOOK_MS)
  release.resolve()
  await eventually('it is read', () => reads === 3)
  assert.equal(most, 1)
})

test('nothing is read any more once it is closed', async (t) => {
  const { path, files } = await followed(t)
  files.close()
  await writeFile(path, 'second')
  await sleep(10 * LOOK_MS)
  assert.equal(files.now(), 'first')
})
