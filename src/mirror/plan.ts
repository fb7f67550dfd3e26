import type { Secret } from '../secret.ts'
import { dockerConfigJson, type Login } from './docker-config-json.ts'
import {
  CREDENTIALS_ANNOTATION,
  compareMarks,
  formatMarks,
  isOurs,
  type Mark,
  type Marks,
  OWNER,
  OWNER_LABEL,
  parseMarks,
} from './ownership.ts'

export const SECRET_TYPE = 'kubernetes.io/dockerconfigjson'

/** What the keychain says about the registries of one Secret. */
export type Wanted = {
  /** CURRENT of every registry that has one. */
  logins: (Login & { mark: Mark })[]
  /** Keys of the registries for which a readable keychain holds nothing. */
  missing: string[]
}

/** A Secret as the API server gave it. */
export type Found = {
  uid: string
  resourceVersion: string
  type: string
  immutable: boolean
  terminating: boolean
  labels: Record<string, string>
  annotations: Record<string, string>
  content: Secret | undefined
}

/** What a write puts into the Secret: its content and our annotation's text. */
export type Writing = { content: Secret; marks: string }

/** What is to be done. `detail` is for people and holds no secret. */
export type Step =
  | { do: 'create'; writing: Writing; detail: string | undefined }
  | { do: 'update'; writing: Writing; uid: string; resourceVersion: string; detail: string | undefined }
  | { do: 'unchanged'; detail: string | undefined }
  | { do: 'foreign'; detail: string }
  | { do: 'refuse'; detail: string }

/**
 * Decides what becomes of one Secret; acts on nothing. In this order: what is not ours is left alone; what cannot be written is
 * refused with a remedy; a later version than ours is never overwritten; a missing credential never removes an entry.
 */
export function plan(wanted: Wanted, found: Found | undefined): Step {
  if (found !== undefined && !isOurs(found.labels, found.annotations)) return foreign(found)
  if (wanted.logins.length === 0) {
    return { do: 'refuse', detail: `nothing is written: no credential is stored for ${wanted.missing.join(', ')}` }
  }
  if (found === undefined) return create(wanted)

  if (found.terminating) return { do: 'refuse', detail: 'the Secret is being deleted; it is made anew once it is gone' }
  if (found.type !== SECRET_TYPE) return refuseType()
  const marks = parseMarks(found.annotations[CREDENTIALS_ANNOTATION])
  const ahead = wanted.logins.find(({ key, mark }) => compareMarks(marks.get(key), mark) === 'ahead')
  if (ahead !== undefined) return refuseOlder(ahead.key, ahead.mark, marks)

  const kept = wanted.missing.filter((key) => marks.has(key))
  const writing = writingOf(wanted, kept, found)
  const detail = missingDetail(wanted.missing, kept)
  // A version carries its content: seq alone moves when a rotation is staged or aborted, and that is no reason to write.
  const settled =
    marks.size === wanted.logins.length + kept.length &&
    wanted.logins.every(({ key, mark }) => compareMarks(marks.get(key), mark) === 'same')
  if (settled && found.content?.equals(writing.content)) return { do: 'unchanged', detail }
  if (found.immutable) return refuseImmutable()
  const { uid, resourceVersion } = found
  const drift = settled ? 'drift: somebody had changed the content; repaired' : undefined
  return { do: 'update', writing, uid, resourceVersion, detail: join(drift, detail) }
}

function create(wanted: Wanted): Step {
  return { do: 'create', writing: writingOf(wanted, [], undefined), detail: missingDetail(wanted.missing, []) }
}

function writingOf(wanted: Wanted, kept: string[], found: Found | undefined): Writing {
  const before: Marks = parseMarks(found?.annotations[CREDENTIALS_ANNOTATION])
  const marks = new Map<string, Mark>(wanted.logins.map(({ key, mark }) => [key, mark]))
  for (const key of kept) {
    const mark = before.get(key)
    if (mark !== undefined) marks.set(key, mark)
  }
  const from = found?.content
  return {
    content: dockerConfigJson(wanted.logins, from === undefined ? undefined : { from, keys: kept }),
    marks: formatMarks(marks),
  }
}

function foreign(found: Found): Step {
  const told = 'regcredd did not make this Secret and leaves it alone; '
  if (found.type !== SECRET_TYPE) {
    return { do: 'foreign', detail: `${told}its type is not ${SECRET_TYPE}, so choose another secretName` }
  }
  return {
    do: 'foreign',
    detail: `${told}to hand it over, set label ${OWNER_LABEL}=${OWNER} and annotation ${CREDENTIALS_ANNOTATION}={}`,
  }
}

function refuseType(): Step {
  return {
    do: 'refuse',
    detail: `the Secret's type is not ${SECRET_TYPE} and cannot be changed; delete it, or choose another secretName`,
  }
}

/** Never deleted by us: KEP-2535 records running images with the Secret's uid, so that is a person's decision. */
function refuseImmutable(): Step {
  return {
    do: 'refuse',
    detail: 'the Secret is immutable; delete it so that it is made anew, or choose another secretName',
  }
}

function refuseOlder(key: string, ours: Mark, marks: Marks): Step {
  const stored = marks.get(key)
  const remedy = `if the one here is right, set annotation ${CREDENTIALS_ANNOTATION}={}`
  return {
    do: 'refuse',
    detail: `the Secret holds a later version of ${key} (seq ${stored?.seq}) than the keychain here (seq ${ours.seq}); ${remedy}`,
  }
}

function missingDetail(missing: string[], kept: string[]): string | undefined {
  const left = missing.filter((key) => !kept.includes(key))
  return join(
    left.length === 0 ? undefined : `without ${left.join(', ')}: no credential is stored`,
    kept.length === 0
      ? undefined
      : `the entry of ${kept.join(', ')} was kept as it is: no credential is stored any more`,
  )
}

function join(...parts: (string | undefined)[]): string | undefined {
  const told = parts.filter((part) => part !== undefined)
  return told.length === 0 ? undefined : told.join('; ')
}
