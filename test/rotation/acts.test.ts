import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RegcreddError } from '../../src/errors.ts'
import { type Act, audited } from '../../src/rotation/acts.ts'
import { admin, KEY } from './kit.ts'

const act = { actor: admin, action: 'credential.delete' as const, target: KEY, detail: {} }

test('an act whose intent cannot be written down is not done', async () => {
  const full = new RegcreddError('AUDIT_UNAVAILABLE', 'ENOSPC')
  let done = 0
  const doing = audited(
    () => Promise.reject(full),
    act,
    async () => {
      done += 1
    },
  )
  await assert.rejects(doing, full)
  assert.equal(done, 0)
})

test('where neither the act nor the writing of its outcome works, both are told', async () => {
  const locked = new RegcreddError('KEYCHAIN_LOCKED')
  const onAct = async ({ phase }: Act) => {
    if (phase === 'outcome') throw new RegcreddError('AUDIT_UNAVAILABLE', 'ENOSPC')
  }
  await assert.rejects(
    audited(onAct, act, () => Promise.reject(locked)),
    { code: 'AUDIT_UNAVAILABLE', detail: 'ENOSPC; and the act itself ended in KEYCHAIN_LOCKED', cause: locked },
  )
})
