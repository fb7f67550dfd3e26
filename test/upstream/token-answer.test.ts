import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { RegcreddError } from '../../src/errors.ts'
import { bearerHeader } from '../../src/upstream/authorization.ts'
import { parseTokenAnswer } from '../../src/upstream/token-answer.ts'

const wallMs = Date.parse('2026-05-01T12:00:00Z')
const askedAt = { monotonicMs: 1_000_000, wallMs }
const read = (answer: unknown) => parseTokenAnswer(JSON.stringify(answer), askedAt)
/** Seconds of use, from when it was asked for. */
const usableFor = (answer: object) => (read({ token: 't', ...answer }).expiresAtMs - askedAt.monotonicMs) / 1000

test('case 27: access_token is taken before token, and either alone will do', () => {
  assert.equal(bearerHeader(read({ token: 'abc' }).token), 'Bearer abc')
  assert.equal(bearerHeader(read({ access_token: 'abc' }).token), 'Bearer abc')
  assert.equal(bearerHeader(read({ token: 'abc', access_token: 'x.y-z_~+/=' }).token), 'Bearer x.y-z_~+/=')
  assert.equal(bearerHeader(read({ token: 'abc', access_token: '' }).token), 'Bearer abc')
})

test('case 27: an answer without a token, and one that is no JSON object, is malformed, and never repeated', () => {
  const texts = [
    '{}',
    '{"token":""}',
    '{"token":1}',
    '[]',
    'null',
    '"token"',
    '',
    '<html>secret</html>',
    '{"token":"secret',
  ]
  for (const text of texts) {
    assert.throws(
      () => parseTokenAnswer(text, askedAt),
      (error: RegcreddError) =>
        error.code === 'TOKEN_MALFORMED' && error.cause === undefined && !error.message.includes('secret'),
      text,
    )
  }
})

test('case 28: a token that would break out of its header is malformed', () => {
  for (const token of ['a\r\nX: y', 'a b', 'a\0', 'ü', '=a', 'a,b', 'a"']) {
    assert.throws(() => read({ token }), { code: 'TOKEN_MALFORMED' }, token)
  }
})

test('case 29: a lifetime is at least a minute and at most a day, less ten seconds', () => {
  for (const expires_in of [undefined, null, 0, -1, 59, '', 'soon', '-300', {}, Number.NaN]) {
    assert.equal(usableFor({ expires_in }), 50, String(expires_in))
  }
  assert.equal(usableFor({ expires_in: '300' }), 290)
  assert.equal(usableFor({ expires_in: 300 }), 290)
  for (const expires_in of [1e12, 1e308, '999999999999']) assert.equal(usableFor({ expires_in }), 86_390)
})

test('case 30: issued_at shortens the life of an older token, and is not believed where it makes no sense', () => {
  const at = (offsetS: number) => new Date(wallMs + offsetS * 1000).toISOString()
  assert.equal(usableFor({ expires_in: 300, issued_at: at(-100) }), 190)
  for (const issued_at of [
    '0001-01-01T00:00:00Z',
    at(3600),
    at(-86_400),
    at(-299),
    at(-285),
    'yesterday',
    '',
    0,
    null,
  ]) {
    assert.equal(usableFor({ expires_in: 300, issued_at }), 290, String(issued_at))
  }
})

test('whatever the answer, it gives a token that is of use for a while, or TOKEN_MALFORMED', () => {
  const answers = fc.record(
    { token: fc.anything(), access_token: fc.string(), expires_in: fc.anything(), issued_at: fc.anything() },
    { requiredKeys: [] },
  )
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        answers.map((answer) => JSON.stringify(answer)),
      ),
      (text) => {
        try {
          const { expiresAtMs } = parseTokenAnswer(text, askedAt)
          assert.ok(expiresAtMs >= askedAt.monotonicMs + 10_000 && expiresAtMs <= askedAt.monotonicMs + 86_390_000)
        } catch (error) {
          assert.ok(error instanceof RegcreddError && error.code === 'TOKEN_MALFORMED', String(error))
        }
      },
    ),
  )
})
