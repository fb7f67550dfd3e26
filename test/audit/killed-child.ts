/**
 * Writes audit records as fast as it can until it is killed, in even rounds some at a time; acknowledges each on stdout once it is
 * said to be written.
 */
import { writeSync } from 'node:fs'
import { openAudit } from '../../src/audit/writer.ts'
import { begin, optionsFor } from './events.ts'

const MAX_RECORDS = 200_000
const [folder = '', round = ''] = process.argv.slice(2)
const audit = await openAudit(optionsFor(folder))
for (let number = 0; number < MAX_RECORDS; number += 1) {
  const id = `${round}-${number}`
  if (Number(round) % 2 === 0) await Promise.all([0, 1, 2, 3, 4, 5, 6, 7].map((part) => together(`${id}-${part}`)))
  else {
    audit.pull({ ...begin, id })
    writeSync(1, `${id}\n`)
  }
}

async function together(id: string): Promise<void> {
  await audit.pullWithOthers({ ...begin, id })
  writeSync(1, `${id}\n`)
}
