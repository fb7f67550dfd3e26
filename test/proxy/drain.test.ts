import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { drain } from '../../src/proxy/drain.ts'

test('the drain waits for what settles after its connection was cut, so that its record is written', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  let isSettled = false
  const request = sleep(100).then(() => {
    isSettled = true
  })
  await drain(server, 1, new Set([request]))
  assert.ok(isSettled)
})
