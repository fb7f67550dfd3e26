/** Whether a repository fits one of the patterns: `*` stands for any text without a slash, `**` for any text. */
export function matchesPattern(repository: string, patterns: string[]): boolean {
  return patterns.some((pattern) => matches(repository, pattern.match(/\*\*|./gsu) ?? []))
}

/**
 * Walks all places of the pattern that may be reached at once, so that time grows with repository × pattern and no pattern can
 * blow it up, as it can a backtracking RegExp.
 */
function matches(repository: string, pieces: string[]): boolean {
  let reached = skipStars(new Set([0]), pieces)
  for (const character of repository) {
    const next = new Set<number>()
    for (const place of reached) {
      const piece = pieces[place]
      if (piece === '**' || (piece === '*' && character !== '/')) next.add(place)
      else if (piece === character) next.add(place + 1)
    }
    if (next.size === 0) return false
    reached = skipStars(next, pieces)
  }
  return reached.has(pieces.length)
}

/** A star may stand for nothing. Iterating a Set also visits what is added meanwhile. */
function skipStars(places: Set<number>, pieces: string[]): Set<number> {
  for (const place of places) {
    const piece = pieces[place]
    if (piece === '*' || piece === '**') places.add(place + 1)
  }
  return places
}
