import type { Secret } from '../secret.ts'
import { dockerConfigJson, type Login, serversBeside } from './docker-config-json.ts'
import {
  CREDENTIALS_ANNOTATION,
  claimOn,
  compareMarks,
  formatMarks,
  formatNames,
  formatOwner,
  type Mark,
  type Marks,
  OWNER,
  OWNER_ANNOTATION,
  OWNER_LABEL,
  type Owner,
  parseMarks,
  SERVICE_ACCOUNTS_ANNOTATION,
} from './ownership.ts'

export const SECRET_TYPE = 'kubernetes.io/dockerconfigjson'

/** What the keychain says about the registries of one Secret. */
export type Wanted = {
  /** CURRENT of every registry that has one. */
  logins: (Login & { mark: Mark })[]
  /** Keys of the registries for which a readable keychain holds nothing. */
  missing: string[]
}

/** For whom a Secret is kept. `serviceAccounts` are those that name it, or may still name it, because of us. */
export type Holder = { owner: Owner; adopt: boolean; serviceAccounts: string[] }

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

/** What a write puts into the Secret: its content and our annotations. */
export type Writing = { content: Secret; annotations: Record<string, string> }

/** What is to be done. `detail` is for people and holds no secret. */
export type Step =
  | { do: 'create'; writing: Writing; detail: string | undefined }
  | {
      do: 'update'
      writing: Writing
      uid: string
      resourceVersion: string
      detail: string | undefined
      /** Somebody had changed what we wrote. */
      drift: boolean
    }
  | { do: 'unchanged'; detail: string | undefined }
  | { do: 'foreign'; detail: string }
  | { do: 'refuse'; detail: string }

/**
 * Decides what becomes of one Secret; acts on nothing. In this order: what is not ours is left alone; what cannot be written is
 * refused with a remedy; a later version than ours is never overwritten; a missing credential never removes an entry.
 */
export function plan(wanted: Wanted, found: Found | undefined, holder: Holder): Step {
  const foreign = found === undefined ? undefined : foreignStep(wanted, found, holder)
  if (foreign !== undefined) return foreign
  if (wanted.logins.length === 0) {
    return { do: 'refuse', detail: `nothing is written: no credential is stored for ${wanted.missing.join(', ')}` }
  }
  if (found === undefined) return create(wanted, holder)

  if (found.terminating) return { do: 'refuse', detail: 'the Secret is being deleted; it is made anew once it is gone' }
  if (found.type !== SECRET_TYPE) return refuseType()
  const isAdopted = claimOn(found.labels, found.annotations, holder.owner) !== 'ours'
  const marks: Marks = isAdopted ? new Map() : parseMarks(found.annotations[CREDENTIALS_ANNOTATION])
  const ahead = wanted.logins.find(({ key, mark }) => compareMarks(marks.get(key), mark) === 'ahead')
  if (ahead !== undefined) return refuseOlder(ahead.key, ahead.mark, marks)

  const kept = wanted.missing.filter((key) => marks.has(key))
  const writing = writingOf(wanted, kept, holder, marks, found.content)
  const detail = missingDetail(wanted.missing, kept)
  // A version carries its content: seq alone moves when a rotation is staged or aborted, and that is no reason to write.
  const isSameVersion =
    marks.size === wanted.logins.length + kept.length &&
    wanted.logins.every(({ key, mark }) => compareMarks(marks.get(key), mark) === 'same')
  const isSameContent = found.content?.equals(writing.content) === true
  if (isSameVersion && isSameContent && isSigned(found, writing)) return { do: 'unchanged', detail }
  if (found.immutable) return refuseImmutable()
  const { uid, resourceVersion } = found
  const drift = isSameVersion && !isSameContent
  const told = isAdopted
    ? 'adopted: regcredd had not made it'
    : drift
      ? 'drift: somebody had changed the content; repaired'
      : undefined
  return { do: 'update', writing, uid, resourceVersion, detail: join(told, detail), drift }
}

/** Whether the annotations beside the versions say already what we would write. */
function isSigned({ annotations }: Found, writing: Writing): boolean {
  return [OWNER_ANNOTATION, SERVICE_ACCOUNTS_ANNOTATION].every((key) => annotations[key] === writing.annotations[key])
}

function create(wanted: Wanted, holder: Holder): Step {
  return {
    do: 'create',
    writing: writingOf(wanted, [], holder, new Map(), undefined),
    detail: missingDetail(wanted.missing, []),
  }
}

function writingOf(
  wanted: Wanted,
  kept: string[],
  { owner, serviceAccounts }: Holder,
  before: Marks,
  from: Secret | undefined,
): Writing {
  const marks = new Map<string, Mark>(wanted.logins.map(({ key, mark }) => [key, mark]))
  for (const key of kept) {
    const mark = before.get(key)
    if (mark !== undefined) marks.set(key, mark)
  }
  return {
    content: dockerConfigJson(wanted.logins, from === undefined ? undefined : { from, keys: kept }),
    annotations: {
      [CREDENTIALS_ANNOTATION]: formatMarks(marks),
      [OWNER_ANNOTATION]: formatOwner(owner),
      ...(serviceAccounts.length > 0 && { [SERVICE_ACCOUNTS_ANNOTATION]: formatNames(serviceAccounts) }),
    },
  }
}

/** The answer for a Secret that is not ours; undefined where it is, or where it is to be adopted. */
function foreignStep(wanted: Wanted, found: Found, { owner, adopt }: Holder): Step | undefined {
  const claim = claimOn(found.labels, found.annotations, owner)
  if (claim === 'ours') return undefined
  if (claim === 'other') {
    const told = 'another regcredd of this cluster keeps this Secret, and two would fight over it'
    return { do: 'foreign', detail: `${told}; to take it over, remove annotation ${OWNER_ANNOTATION}` }
  }
  const told =
    claim === 'copied'
      ? 'this Secret was copied from another cluster and is left alone'
      : 'regcredd did not make this Secret and leaves it alone'
  if (found.type !== SECRET_TYPE) {
    return { do: 'foreign', detail: `${told}; its type is not ${SECRET_TYPE}, so choose another secretName` }
  }
  if (!adopt) {
    const signs = `set label ${OWNER_LABEL}=${OWNER} and annotation ${CREDENTIALS_ANNOTATION}={}`
    const byHand = claim === 'copied' ? `remove annotation ${OWNER_ANNOTATION}` : signs
    return { do: 'foreign', detail: `${told}; to hand it over, ${byHand}, or set \`adopt\` for all of this mirror` }
  }
  const keys = [...wanted.logins.map(({ key }) => key), ...wanted.missing]
  const lost = found.content === undefined ? 0 : serversBeside(found.content, keys)
  if (lost === 0) return undefined
  const count = lost === 1 ? 'an entry for a registry' : `entries for ${lost} registries`
  return { do: 'foreign', detail: `not adopted: it holds ${count} that this mirror does not have, and would lose them` }
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
