import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { hashBody, isSameBody, type RotationBody } from '../../src/rotation/idempotency.ts'
import { Secret } from '../../src/secret.ts'

const fields = fc.record({
  username: fc.option(fc.string(), { nil: undefined }),
  password: fc.string(),
  email: fc.option(fc.string(), { nil: undefined }),
  deadlineSeconds: fc.nat(86_400),
})

const bodyOf = ({ password, ...rest }: { password: string } & Omit<RotationBody, 'secret'>): RotationBody => ({
  ...rest,
  secret: new Secret(password),
})

test('a body is the same as itself and as nothing else', () => {
  fc.assert(
    fc.property(fields, fields, (a, b) => {
      const isEqual = JSON.stringify(Object.entries(a)) === JSON.stringify(Object.entries(b))
      assert.equal(isSameBody(hashBody(bodyOf(a)), bodyOf(b)), isEqual)
      assert.ok(isSameBody(hashBody(bodyOf(a)), bodyOf(a)))
    }),
  )
})

test('an absent username is another body than an empty one, and fields do not run into each other', () => {
  const base = { username: 'a', password: 'b', email: undefined, deadlineSeconds: 1 }
  const hash = hashBody(bodyOf(base))
  assert.ok(!isSameBody(hash, bodyOf({ ...base, username: undefined })))
  assert.ok(!isSameBody(hash, bodyOf({ ...base, username: 'ab', password: '' })))
  assert.ok(!isSameBody(hashBody(bodyOf({ ...base, username: '' })), bodyOf({ ...base, username: undefined })))
})

test('two hashes of one body do not look alike', () => {
  const body = bodyOf({ username: 'a', password: 'b', email: undefined, deadlineSeconds: 1 })
  assert.notEqual(hashBody(body), hashBody(body))
})

test('a hash that cannot be read is like no body', () => {
  const body = bodyOf({ username: 'a', password: 'b', email: undefined, deadlineSeconds: 1 })
  for (const hash of ['', '.', 'x.', 'no dot', 'a.b.c']) assert.ok(!isSameBody(hash, body), hash)
})
