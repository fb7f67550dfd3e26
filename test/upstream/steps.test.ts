import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { RegcreddError } from '../../src/errors.ts'
import { chooseChallenge, parseChallenges } from '../../src/registry/challenge.ts'
import { sameOrigin } from '../../src/registry/origin.ts'
import {
  type AnswerHead,
  type Authorization,
  afterChallenge,
  type Course,
  firstStep,
  nextStep,
  type Step,
  type Tried,
} from '../../src/upstream/steps.ts'
import { listed } from '../helpers/proxy.ts'

const REGISTRY = listed('registry.corp.example', new URL('https://registry.corp.example'))
const URL_AT_REGISTRY = new URL('/v2/team/app/blobs/sha256:x', REGISTRY.upstream)
const BEARER = 'Bearer realm="https://registry.corp.example/token",service="s",scope="repository:team/app:pull"'
const BASIC = 'Basic realm="r"'
const NOBODY: Authorization = { by: 'nobody' }

type Turn = {
  authorization: Authorization
  status: number
  to?: URL
  method?: 'GET' | 'HEAD'
  asks?: 'bearer'
}

function courseOf(turns: Turn[], more: Partial<Course> = {}): Course {
  const tried: Tried[] = turns.map((turn) => ({
    to: turn.to ?? URL_AT_REGISTRY,
    method: turn.method ?? more.method ?? 'GET',
    authorization: turn.authorization,
    onlySize: false,
    status: turn.status,
    asks: turn.asks,
  }))
  return {
    registry: REGISTRY,
    method: 'GET',
    kind: 'blob',
    url: URL_AT_REGISTRY,
    versions: ['v1'],
    barred: [],
    relay: undefined,
    ...more,
    tried,
  }
}

const challenged = (...challenges: string[]): AnswerHead => ({ location: undefined, challenges })
const PLAIN: AnswerHead = challenged()
/** The decision in few words. */
function told(step: Step): string {
  if (step.do === 'refuse') return `refuse ${step.code}`
  if (step.do === 'authenticate') return `authenticate ${step.version}`
  if (step.do !== 'send' && step.do !== 'restart') return step.do
  const { authorization, to, method, onlySize } = step
  const as = authorization.by === 'nobody' ? 'nobody' : `${authorization.by} ${authorization.version}`
  return `${step.do} ${method}${onlySize ? ' one byte' : ''} ${to.host} as ${as}`
}

test('the first request carries a known token, or Basic where the registry asks for it, or nothing', () => {
  const course = courseOf([])
  assert.equal(
    told(firstStep(course, { asksBasic: false, hasToken: false })),
    'send GET registry.corp.example as nobody',
  )
  assert.equal(
    told(firstStep(course, { asksBasic: true, hasToken: false })),
    'send GET registry.corp.example as basic v1',
  )
  assert.equal(
    told(firstStep(course, { asksBasic: true, hasToken: true })),
    'send GET registry.corp.example as bearer v1',
  )
  const anonymous = courseOf([], { versions: [] })
  assert.equal(
    told(firstStep(anonymous, { asksBasic: true, hasToken: false })),
    'send GET registry.corp.example as nobody',
  )
})

const basic = (version = 'v1'): Authorization => ({ by: 'basic', version })
const fresh = (version: string | undefined = 'v1'): Authorization => ({ by: 'bearer', version, fresh: true })
const cached: Authorization = { by: 'bearer', version: 'v1', fresh: false }

const decisions: [name: string, course: Course, answer: AnswerHead, decision: string][] = [
  ['an answer is relayed', courseOf([{ authorization: NOBODY, status: 200 }]), PLAIN, 'relay'],
  [
    'a challenge on a 200 means nothing (zot)',
    courseOf([{ authorization: NOBODY, status: 200 }]),
    challenged(BASIC),
    'relay',
  ],
  ['a 404 is relayed', courseOf([{ authorization: basic(), status: 404 }]), PLAIN, 'relay'],
  [
    'a Bearer challenge is met',
    courseOf([{ authorization: NOBODY, status: 401 }]),
    challenged(BEARER),
    'authenticate v1',
  ],
  [
    'Bearer is preferred',
    courseOf([{ authorization: NOBODY, status: 401 }]),
    challenged(BASIC, BEARER),
    'authenticate v1',
  ],
  [
    'a Basic challenge is met',
    courseOf([{ authorization: NOBODY, status: 401 }]),
    challenged(BASIC),
    'send GET registry.corp.example as basic v1',
  ],
  ['a 401 without a challenge makes us ask /v2/', courseOf([{ authorization: NOBODY, status: 401 }]), PLAIN, 'ping'],
  [
    'only Negotiate is no challenge',
    courseOf([{ authorization: NOBODY, status: 401 }]),
    challenged('Negotiate'),
    'ping',
  ],
  [
    'case 32: a fresh token that is refused ends it',
    courseOf([
      { authorization: NOBODY, status: 401 },
      { authorization: fresh(), status: 401 },
    ]),
    challenged(BEARER),
    'refuse REPOSITORY_REFUSED',
  ],
  [
    'case 32: a refused password ends it',
    courseOf([{ authorization: basic(), status: 401 }]),
    challenged(BASIC),
    'refuse CREDENTIAL_REJECTED',
  ],
  [
    'Harbor: a Basic challenge after a refused token does not draw the password out twice',
    courseOf([
      { authorization: NOBODY, status: 401 },
      { authorization: fresh(), status: 401 },
    ]),
    challenged('Basic realm="harbor"'),
    'refuse REPOSITORY_REFUSED',
  ],
  [
    'PENDING follows a refused CURRENT',
    courseOf([{ authorization: basic(), status: 401 }], { versions: ['v1', 'v2'] }),
    challenged(BASIC),
    'send GET registry.corp.example as basic v2',
  ],
  [
    'PENDING follows a CURRENT that the token server refused',
    courseOf([{ authorization: NOBODY, status: 401 }], { versions: ['v1', 'v2'], barred: ['v1'] }),
    challenged(BEARER),
    'authenticate v2',
  ],
  [
    'an anonymous pull fetches an anonymous token',
    courseOf([{ authorization: NOBODY, status: 401 }], { versions: [] }),
    challenged(BEARER),
    'authenticate undefined',
  ],
  [
    'an anonymous pull cannot meet Basic',
    courseOf([{ authorization: NOBODY, status: 401 }], { versions: [] }),
    challenged(BASIC),
    'refuse ANONYMOUS_REFUSED',
  ],
  [
    'an anonymous token that is refused ends it',
    courseOf([{ authorization: { by: 'bearer', version: undefined, fresh: true }, status: 401 }], { versions: [] }),
    challenged(BEARER),
    'refuse ANONYMOUS_REFUSED',
  ],
  [
    'case 33: a cached token that gets 400 is dropped once',
    courseOf([{ authorization: cached, status: 400 }]),
    PLAIN,
    'restart GET registry.corp.example as nobody',
  ],
  [
    'case 33: a cached token that gets 403 is dropped once',
    courseOf([{ authorization: cached, status: 403 }]),
    PLAIN,
    'restart GET registry.corp.example as nobody',
  ],
  [
    'a cached token that gets 401 is dropped, whatever Harbor challenges with',
    courseOf([{ authorization: cached, status: 401 }]),
    challenged('Basic realm="harbor"'),
    'restart GET registry.corp.example as nobody',
  ],
  [
    'a 403 to a fresh token is the registry’s word',
    courseOf([{ authorization: fresh(), status: 403 }]),
    PLAIN,
    'relay',
  ],
  [
    'Quay and GHCR: a Basic that is answered with a Bearer challenge was not looked at',
    courseOf([{ authorization: basic(), status: 401, asks: 'bearer' }]),
    challenged(BEARER),
    'authenticate v1',
  ],
  [
    'a version that is held back is passed over',
    courseOf([{ authorization: NOBODY, status: 401 }], { versions: ['v1', 'v2'], barred: ['v1'] }),
    challenged(BASIC),
    'send GET registry.corp.example as basic v2',
  ],
  [
    'a token that the registry refuses says nothing of the password, so no other version is tried',
    courseOf([{ authorization: fresh(), status: 401 }], { versions: ['v1', 'v2'] }),
    challenged(BEARER),
    'refuse REPOSITORY_REFUSED',
  ],
  [
    'case 39: a blob HEAD that a kept token cannot do is asked for by GET before the token is given up',
    courseOf([{ authorization: cached, status: 401 }], { method: 'HEAD' }),
    challenged(BEARER),
    'send GET one byte registry.corp.example as bearer v1',
  ],
  [
    'case 39: a blob HEAD that a fresh token cannot do is asked for by GET',
    courseOf([{ authorization: fresh(), status: 401 }], { method: 'HEAD' }),
    challenged(BEARER),
    'send GET one byte registry.corp.example as bearer v1',
  ],
]
for (const [name, course, answer, decision] of decisions) {
  test(name, () => assert.equal(told(nextStep(course, answer)), decision))
}

test('a second missing challenge, at /v2/, is the end', () => {
  const ping: Turn = { authorization: NOBODY, status: 401, to: new URL('/v2/', REGISTRY.upstream) }
  const course = courseOf([{ authorization: NOBODY, status: 401 }, ping])
  assert.equal(told(afterChallenge(course, undefined)), 'refuse CHALLENGE_UNSUPPORTED')
})

const redirects: [name: string, location: string, decision: string][] = [
  ['case 36: a relative redirect stays authorised', '/artifacts/x', 'send GET registry.corp.example as basic v1'],
  ['a store never sees Authorization', 'https://store.example/x?sig=1', 'send GET store.example as nobody'],
  [
    'case 35: nor does the same host on another port',
    'https://registry.corp.example:8443/x',
    'send GET registry.corp.example:8443 as nobody',
  ],
]
for (const [name, location, decision] of redirects) {
  test(name, () => {
    const course = courseOf([{ authorization: basic(), status: 307 }])
    assert.equal(told(nextStep(course, { location, challenges: [] })), decision)
  })
}

test('a store’s 403 sends us to the registry once more, and no further', () => {
  const store = new URL('https://store.example/x')
  const turns: Turn[] = [
    { authorization: basic(), status: 307 },
    { authorization: NOBODY, status: 403, to: store },
  ]
  assert.equal(told(nextStep(courseOf(turns), PLAIN)), 'send GET registry.corp.example as basic v1')
  assert.equal(told(nextStep(courseOf([...turns, ...turns]), PLAIN)), 'refuse STORE_REFUSED')
})

test('case 39: a HEAD that the store refuses is asked for by GET of one byte', () => {
  const turns: Turn[] = [
    { authorization: basic(), status: 307 },
    { authorization: NOBODY, status: 403, to: new URL('https://store.example/x') },
  ]
  assert.equal(told(nextStep(courseOf(turns, { method: 'HEAD' }), PLAIN)), 'send GET one byte store.example as nobody')
})

test('case 37: the sixth redirect is refused', () => {
  const turns: Turn[] = Array.from({ length: 6 }, () => ({ authorization: NOBODY, status: 302 }))
  assert.equal(told(nextStep(courseOf(turns), { location: '/again', challenges: [] })), 'refuse REDIRECT_REFUSED')
})

test('whatever a registry answers, it ends, and no authorization leaves the registry’s origin', () => {
  const location = fc.constantFrom(
    '/x',
    'https://registry.corp.example/y',
    'https://registry.corp.example:444/',
    'https://store.example/',
    'http://registry.corp.example/',
    'https://u@registry.corp.example/',
    undefined,
  )
  const answer = fc.record({
    status: fc.constantFrom(200, 206, 301, 302, 307, 400, 401, 403, 404, 429, 500),
    location,
    challenges: fc.constantFrom<string[][]>([], [BASIC], [BEARER], [BASIC, BEARER], ['Negotiate'], ['Basic realm="']),
  })
  fc.assert(
    fc.property(
      fc.array(answer, { minLength: 20, maxLength: 20 }),
      fc.subarray(['v1', 'v2', 'v3']),
      fc.boolean(),
      (answers, versions, hasToken) => {
        const tried: Tried[] = []
        const course: Course = { ...courseOf([]), versions, tried }
        let step = firstStep(course, { asksBasic: false, hasToken })
        for (const given of answers) {
          if (step.do === 'relay' || step.do === 'refuse') return
          if (step.do === 'authenticate') {
            const authorization: Authorization = { by: 'bearer', version: step.version, fresh: true }
            step = { do: 'send', to: course.url, method: course.method, authorization, onlySize: false }
          }
          if (step.do === 'ping')
            step = {
              do: 'send',
              to: new URL('/v2/', course.url),
              method: 'GET',
              authorization: NOBODY,
              onlySize: false,
            }
          if (step.do !== 'send' && step.do !== 'restart') return
          if (step.authorization.by !== 'nobody')
            assert.ok(sameOrigin(step.to, course.url), `${step.to} must not be authorised`)
          tried.push({
            ...step,
            status: given.status,
            asks: given.status === 401 ? chooseChallenge(parseChallenges(given.challenges))?.scheme : undefined,
          })
          try {
            step = nextStep(course, given)
          } catch (thrown) {
            assert.ok(thrown instanceof RegcreddError)
            return
          }
        }
        assert.fail(
          `no end after ${answers.length} answers: ${tried.map(({ status, to }) => `${status} ${to}`).join(', ')}`,
        )
      },
    ),
    { numRuns: 3_000 },
  )
})
