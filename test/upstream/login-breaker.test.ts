import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { test } from 'node:test'
import fc from 'fast-check'
import { createLoginBreaker } from '../../src/upstream/login-breaker.ts'

const NAME = 'registry.corp.example'
const never = new AbortController().signal

function start() {
  const clock = { nowMs: 5_000_000 }
  const breaker = createLoginBreaker({
    nowMs: () => clock.nowMs,
    wallNowMs: () => Date.parse('2026-05-01T12:00:00Z') + clock.nowMs - 5_000_000,
  })
  /** One login from claim to verdict; gives whether it was let through. */
  async function login(verdict: 'accepted' | 'rejected' | 'denied' | 'none', version = 'v1', repository = 'a') {
    using trial = await breaker.claim(NAME, version, repository, never)
    if (verdict !== 'none') trial?.[verdict]()
    return trial !== undefined
  }
  const waitSeconds = (version = 'v1', repository = 'a') => {
    const at = breaker.retryAt(NAME, version, repository)
    return at === undefined ? 0 : (at.getTime() - Date.parse('2026-05-01T12:00:00Z') + 5_000_000 - clock.nowMs) / 1000
  }
  return { breaker, clock, login, waitSeconds }
}

test('a refused login is held back for all repositories: 10 s, then twice as long each time, five minutes at the most', async () => {
  const { clock, login, waitSeconds } = start()
  const waits: number[] = []
  for (let turn = 0; turn < 8; turn++) {
    assert.equal(await login('rejected'), true)
    assert.equal(await login('rejected', 'v1', 'other'), false)
    waits.push(waitSeconds())
    clock.nowMs += waitSeconds() * 1000
  }
  assert.deepEqual(waits, [10, 20, 40, 80, 160, 300, 300, 300])
})

test('another version is not held back, and after an accepted login nothing is', async () => {
  const { clock, login, waitSeconds } = start()
  await login('rejected')
  assert.equal(await login('accepted', 'v2'), true)
  clock.nowMs += 10_000
  await login('accepted')
  assert.equal(waitSeconds(), 0)
})

test('a login that was accepted is held back only when it is refused twice in a row', async () => {
  const { login, waitSeconds } = start()
  await login('accepted')
  await login('rejected', 'v1', 'b')
  assert.equal(waitSeconds(), 0)
  await login('accepted')
  await login('rejected', 'v1', 'b')
  assert.equal(waitSeconds(), 0)
  await login('rejected', 'v1', 'c')
  assert.equal(waitSeconds(), 10)
})

test('a 403 of the token server holds back that repository alone', async () => {
  const { login, waitSeconds } = start()
  await login('denied', 'v1', 'bad')
  assert.equal(waitSeconds('v1', 'bad'), 10)
  assert.equal(waitSeconds('v1', 'good'), 0)
})

test('refusals of logins that were on their way together count once', async () => {
  const { breaker, login, waitSeconds } = start()
  await login('accepted')
  const trials = await Promise.all(Array.from({ length: 16 }, () => breaker.claim(NAME, 'v1', 'a', never)))
  for (const trial of trials) {
    trial?.rejected()
    trial?.[Symbol.dispose]()
  }
  assert.equal(waitSeconds(), 10)
})

test('of fifty who would try an unknown password at once one does, and the others learn from it', async () => {
  const { login } = start()
  const outcomes = await Promise.all(Array.from({ length: 50 }, () => login('rejected')))
  assert.equal(outcomes.filter((wasTried) => wasTried).length, 1)
})

test('a trial without a verdict lets all that wait go at once, and so does one of a good password', async () => {
  for (const verdict of ['none', 'accepted'] as const) {
    const { login } = start()
    const outcomes = await Promise.all(Array.from({ length: 50 }, () => login(verdict)))
    assert.deepEqual(new Set(outcomes), new Set([true]))
  }
})

test('one who goes away does not wait for the trial', async () => {
  const { breaker } = start()
  using first = await breaker.claim(NAME, 'v1', 'a', never)
  assert.ok(first)
  const gone = new AbortController()
  const waiting = breaker.claim(NAME, 'v1', 'a', gone.signal)
  gone.abort()
  assert.ok(await waiting)
})

test('one who has waited for a trial leaves nothing on a signal that lasts longer', async () => {
  const { breaker } = start()
  const lasting = new AbortController().signal
  const first = await breaker.claim(NAME, 'v1', 'a', lasting)
  const waiting = breaker.claim(NAME, 'v1', 'a', lasting)
  assert.equal(getEventListeners(lasting, 'abort').length, 1)
  first?.[Symbol.dispose]()
  assert.ok(await waiting)
  assert.deepEqual(getEventListeners(lasting, 'abort'), [])
})

test('what is held back is listed with its times, and forgotten for one registry alone', async () => {
  const { breaker, login, waitSeconds } = start()
  await login('rejected')
  await login('denied', 'v2', 'bad')
  assert.deepEqual(breaker.held(), [
    {
      registry: NAME,
      version: 'v1',
      sinceAt: new Date('2026-05-01T12:00:00Z'),
      retryAt: new Date('2026-05-01T12:00:10Z'),
    },
  ])
  breaker.forgetRegistry(`${NAME}/path`)
  assert.equal(waitSeconds(), 10)
  breaker.forgetRegistry(NAME)
  assert.equal(waitSeconds() + waitSeconds('v2', 'bad'), 0)
  assert.deepEqual(breaker.held(), [])
})

test('whatever happens, no version is tried more than five times in the first two minutes after its last success', async () => {
  const verdicts = fc.array(fc.record({ afterMs: fc.nat(5_000), repository: fc.constantFrom('a', 'b', 'c') }), {
    minLength: 50,
    maxLength: 200,
  })
  await fc.assert(
    fc.asyncProperty(verdicts, fc.boolean(), async (tries, wasGood) => {
      const { clock, login } = start()
      const endMs = clock.nowMs + 120_000
      if (wasGood) await login('accepted')
      let tried = 0
      for (const { afterMs, repository } of tries) {
        clock.nowMs += afterMs
        if (clock.nowMs > endMs) return
        if (await login('rejected', 'v1', repository)) tried += 1
        assert.ok(tried <= 5, `${tried} logins`)
      }
    }),
  )
})
