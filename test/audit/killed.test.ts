import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { openAudit } from '../../src/audit/writer.ts'
import { optionsFor, recordsIn, tempFolder } from './events.ts'

const ROUNDS = 8

/** Starts a writer, kills it at a random moment, and gives the ids that it acknowledged. */
async function writeAndKill(folder: string, round: number): Promise<string[]> {
  const script = join(import.meta.dirname, 'killed-child.ts')
  const child = spawn(process.execPath, [script, folder, String(round)], { stdio: ['ignore', 'pipe', 'inherit'] })
  let told = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    told += text
  })
  const closed = once(child, 'close')
  await Promise.race([once(child.stdout, 'data'), closed])
  await sleep(Math.random() * 40)
  child.kill('SIGKILL')
  await closed
  return told.split('\n').slice(0, -1)
}

test('kill -9 at any time loses no acknowledged record, breaks no number and leaves the folder free', async (t) => {
  const folder = tempFolder(t)
  const acknowledged: string[] = []
  for (let round = 0; round < ROUNDS; round += 1) acknowledged.push(...(await writeAndKill(folder, round)))
  assert.ok(acknowledged.length > ROUNDS)

  const audit = await openAudit(optionsFor(folder))
  audit.close()
  const records = recordsIn(folder)
  assert.ok(records.every(({ seq }, index) => seq === index + 1))
  const written = new Set(records.flatMap((record) => (record.type === 'pull.begin' ? [record.id] : [])))
  assert.deepEqual(
    acknowledged.filter((id) => !written.has(id)),
    [],
  )
})
