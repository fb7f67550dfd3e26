/** Writes audit records as fast as it can until it is killed; acknowledges each on stdout once the call has returned. */
import { writeSync } from 'node:fs'
import { openAudit } from '../../src/audit/writer.ts'
import { begin, optionsFor } from './events.ts'

const MAX_RECORDS = 200_000
const [folder = '', round = ''] = process.argv.slice(2)
const audit = await openAudit(optionsFor(folder))
for (let number = 0; number < MAX_RECORDS; number += 1) {
  const id = `${round}-${number}`
  audit.pull({ ...begin, id })
  writeSync(1, `${id}\n`)
}
