import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { fault, faults } from '../../src/keychain/faults.ts'
import { readSources, root } from '../design/project.ts'
import { faultTable } from './fault-table.ts'

test('docs/keychain.md has the state, the code and the remedy of every fault, as the code has them', async () => {
  const text = await readFile(join(root, 'docs/keychain.md'), 'utf8')
  const [, table = ''] = /^(\| what is said .*\n\|-.*\n(?:\|.*\n)+)/m.exec(text) ?? []
  assert.equal(table.trimEnd(), faultTable(), 'node test/keychain/fault-table.ts prints it anew')
})

test('every fault is met with somewhere, no two say the same, and each says what to do', async () => {
  const sources = [...(await readSources())].filter(([path]) => path.startsWith('keychain/')).map(([, text]) => text)
  for (const [name, { says, remedy }] of Object.entries(faults)) {
    assert.ok(
      sources.some((text) => text.includes(`'${name}'`)),
      `${name} is never thrown`,
    )
    assert.ok(says.length > 10 && remedy.length > 10, name)
  }
  const said = Object.values(faults).map(({ says }) => says)
  assert.equal(new Set(said).size, said.length)
})

test('the words of a fault are filled in, and its cause is kept for the log', () => {
  const cause = new Error('inner')
  const error = fault('disk', { path: '/var/x', done: 'written', errno: 'ENOSPC' }, cause)
  assert.equal(error.code, 'KEYCHAIN_UNAVAILABLE')
  assert.match(String(error.detail), /^\/var\/x cannot be written \(ENOSPC\); see that its folder/)
  assert.equal(error.cause, cause)
})
