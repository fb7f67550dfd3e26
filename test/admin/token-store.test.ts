import assert from 'node:assert/strict'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { MAX_TOKENS, openTokenStore } from '../../src/admin/token-store.ts'
import { makeAdminToken } from '../../src/admin-token.ts'
import type { RegcreddError } from '../../src/errors.ts'
import { createFakeTime } from '../rotation/kit.ts'

const DAY_S = 86_400

async function setting(context: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), 'regcredd-tokens-'))
  context.after(() => rm(folder, { recursive: true }))
  const path = join(folder, 'admin-tokens.json')
  const time = createFakeTime()
  const faults: RegcreddError[] = []
  const open = () => openTokenStore({ path, now: time.now, onFault: (fault) => void faults.push(fault) })
  return { folder, path, time, faults, open }
}

function newToken(scopes = ['read'], ttlSeconds = DAY_S) {
  const { token, ...made } = makeAdminToken()
  return { shown: token.reveal(), asked: { ...made, name: 'ci', scopes, ttlSeconds } }
}

test('a token is kept by its hash alone, in a file of mode 0600, and is good after a restart', async (context) => {
  const { path, open } = await setting(context)
  const { shown, asked } = newToken(['read', 'rotate:registry.corp.example'])
  const made = await (await open()).add(asked)
  assert.deepEqual(Object.keys(made).sort(), ['createdAt', 'expiresAt', 'id', 'lastUsedAt', 'name', 'scopes'])
  const text = await readFile(path, 'utf8')
  assert.ok(!text.includes(shown.slice(-43)) && text.includes(asked.sha256))
  assert.equal((await stat(path)).mode & 0o777, 0o600)
  const store = await open()
  assert.deepEqual(store.check(shown), {
    id: asked.id,
    name: 'ci',
    scopes: [{ kind: 'read' }, { kind: 'rotate', registry: 'registry.corp.example' }],
  })
  await store.close()
})

test('a token with the id of a good one and another secret is refused', async (context) => {
  const store = await (await setting(context)).open()
  const { shown, asked } = newToken()
  await store.add(asked)
  const forged = newToken().shown.replace(/^rcd_[0-9a-f]{16}/, shown.slice(0, 20))
  assert.throws(() => store.check(forged), { code: 'TOKEN_REFUSED' })
  await assert.rejects(store.add(asked), { code: 'BODY_INVALID', detail: 'id is taken' })
})

test('a token ends when it expires, is told of for thirty days, and makes room then', async (context) => {
  const { time, open } = await setting(context)
  const store = await open()
  const { shown, asked } = newToken(['read'], 60)
  const made = await store.add(asked)
  assert.equal(Date.parse(made.expiresAt) - time.now().getTime(), 60_000)
  time.pass(60_000)
  assert.throws(() => store.check(shown), { code: 'TOKEN_EXPIRED', detail: made.expiresAt })
  time.pass(30 * DAY_S * 1_000)
  await store.add(newToken().asked)
  assert.equal(store.list().length, 1)
  assert.throws(() => store.check(shown), { code: 'TOKEN_REFUSED' })
})

test('a revoked token ends at once, also where the file cannot be written', async (context) => {
  const { folder, open } = await setting(context)
  const store = await open()
  const [first, second] = [newToken(), newToken()]
  await store.add(first.asked)
  await store.add(second.asked)
  await store.revoke(first.asked.id)
  assert.throws(() => store.check(first.shown), { code: 'TOKEN_REFUSED' })
  await assert.rejects(store.revoke(first.asked.id), { code: 'TOKEN_NOT_FOUND' })
  assert.equal((await open()).list().length, 1)
  await rm(folder, { recursive: true })
  await assert.rejects(store.revoke(second.asked.id), { code: 'TOKENS_UNAVAILABLE' })
  assert.throws(() => store.check(second.shown), { code: 'TOKEN_REFUSED' })
  assert.deepEqual(
    store.list().map(({ id }) => id),
    [second.asked.id],
    'what the file may still hold is shown',
  )
  await mkdir(folder)
  await store.revoke(second.asked.id)
  assert.deepEqual([store.list(), (await open()).list()], [[], []], 'revoked once more it is gone for good')
})

test('there are a hundred tokens at most, and none is lost when many are made at once', async (context) => {
  const { folder, open } = await setting(context)
  const store = await open()
  const made = await Promise.allSettled(Array.from({ length: MAX_TOKENS + 1 }, () => store.add(newToken().asked)))
  assert.deepEqual(
    made.filter(({ status }) => status === 'rejected').map((one) => 'reason' in one && one.reason.code),
    ['TOKEN_LIMIT'],
  )
  assert.equal((await open()).list().length, MAX_TOKENS)
  assert.deepEqual(await readdir(folder), ['admin-tokens.json'])
})

test('a use is noted to the minute, once an hour, and survives a restart', async (context) => {
  const { path, time, open } = await setting(context)
  const store = await open()
  const { shown, asked } = newToken()
  await store.add(asked)
  time.pass(90_500)
  const writes = new Set<number>()
  const use = async () => {
    store.check(shown)
    await store.close()
    writes.add((await stat(path)).ino)
  }
  await use()
  const noted = '2026-03-01T12:01:00.000Z'
  assert.equal(store.list()[0]?.lastUsedAt, noted)
  for (let count = 0; count < 20; count += 1) {
    time.pass(60_000)
    await use()
  }
  assert.equal(writes.size, 1)
  assert.equal((await open()).list()[0]?.lastUsedAt, noted)
  time.pass(3_600_000)
  await use()
  assert.equal(writes.size, 2)
})

test('a file that is broken, open to others or of a later version lets nobody in, and is left as it is', async (context) => {
  const { path, faults, open } = await setting(context)
  const { shown, asked } = newToken()
  await (await open()).add(asked)
  const good = await readFile(path, 'utf8')
  const refusesAll = async (what: string) => {
    const store = await open()
    const before = await readFile(path, 'utf8')
    assert.throws(() => store.check(shown), { code: 'TOKENS_UNAVAILABLE' }, what)
    assert.throws(() => store.list(), { code: 'TOKENS_UNAVAILABLE' }, what)
    await assert.rejects(store.add(newToken().asked), { code: 'TOKENS_UNAVAILABLE' }, what)
    assert.equal(await readFile(path, 'utf8'), before)
    assert.equal(faults.pop()?.code, 'TOKENS_UNAVAILABLE')
  }
  for (const text of ['', '{', 'null', good.slice(0, -3), good.replace('"schema": 1', '"schema": 2'), '{"schema":1}']) {
    await writeFile(path, text)
    await refusesAll(text)
  }
  await writeFile(path, good)
  await chmod(path, 0o640)
  await refusesAll('0640')
  await chmod(path, 0o600)
  assert.equal((await open()).check(shown).id, asked.id)
})

test('what a killed daemon left beside the file goes at the next start', async (context) => {
  const { folder, path, open } = await setting(context)
  await (await open()).add(newToken().asked)
  await writeFile(`${path}.0123456789abcdef.tmp`, 'half', { mode: 0o600 })
  await open()
  assert.deepEqual(await readdir(folder), ['admin-tokens.json'])
})

test('the file is cut at every byte: it lets in whom it held, or nobody', async (context) => {
  const { path, open } = await setting(context)
  const { shown, asked } = newToken()
  await (await open()).add(asked)
  const whole = await readFile(path)
  for (let length = 0; length < whole.length - 1; length += 1) {
    await writeFile(path, whole.subarray(0, length))
    const store = await open()
    assert.throws(() => store.check(shown), { code: 'TOKENS_UNAVAILABLE' }, `${length}`)
  }
})
