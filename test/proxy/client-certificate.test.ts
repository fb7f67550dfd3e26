import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { callerName } from '../../src/proxy/client-certificate.ts'

test('the common name counts, else the first alternative name without its kind', () => {
  assert.equal(callerName('node-1', 'DNS:other'), 'node-1')
  assert.equal(callerName(undefined, 'DNS:node-1.corp.example, IP Address:10.0.0.1'), 'node-1.corp.example')
  assert.equal(callerName('', 'URI:spiffe://corp.example/ns/a/sa/b'), 'spiffe://corp.example/ns/a/sa/b')
  assert.equal(callerName(' ', 'IP Address:10.0.0.1'), '10.0.0.1')
  assert.equal(callerName(undefined, undefined), undefined)
  assert.equal(callerName('', 'othername:<unsupported>'), undefined)
})

test('no name breaks a line of the audit, hides what follows it, or is without end', () => {
  assert.equal(callerName('node\n1\u202e\u001b[31m', undefined), 'node?1??[31m')
  fc.assert(
    fc.property(fc.string({ unit: 'binary', minLength: 1, maxLength: 300 }), (text) => {
      const name = callerName(`n${text}`, undefined) ?? assert.fail()
      assert.ok([...name].length <= 128)
      assert.doesNotMatch(name, /[\p{C}\p{Zl}\p{Zp}]/u)
    }),
  )
})
