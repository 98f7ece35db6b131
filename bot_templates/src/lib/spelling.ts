/** Names that were mistyped, and what was meant by them. */

/** Candidates that are looked at: a name is compared with what a person types, not with a machine's thousand keys. */
const MOST_CANDIDATES = 100;
const LONGEST_NAME = 40;

/**
 * The candidate that a name resembles most: one letter in four may differ, and case and `_` do not count.
 * @returns undefined where none is near enough.
 */
export function nearest(name: string, candidates: Iterable<string>): string | undefined {
  const wanted = plain(name);
  let found: { candidate: string; distance: number } | undefined;
  let seen = 0;
  for (const candidate of candidates) {
    if (++seen > MOST_CANDIDATES) {
      break;
    }
    const other = plain(candidate);
    const longest = Math.max(wanted.length, other.length);
    if (longest > LONGEST_NAME) {
      continue;
    }
    const distance = edits(wanted, other);
    if (distance <= Math.max(1, Math.floor(longest / 4)) && distance < (found?.distance ?? Number.POSITIVE_INFINITY)) {
      found = { candidate, distance };
    }
  }
  return found?.candidate;
}

function plain(name: string): string {
  return name.toLowerCase().replaceAll('_', '');
}

/** Letters to insert, drop, replace or swap with their neighbour. */
function edits(one: string, other: string): number {
  const rows = [Array.from({ length: other.length + 1 }, (_, column) => column)];
  const cell = (row: number, column: number): number => rows[row]?.[column] ?? Number.POSITIVE_INFINITY;
  for (let row = 1; row <= one.length; row++) {
    const current = [row];
    rows.push(current);
    for (let column = 1; column <= other.length; column++) {
      const swapped = one[row - 1] === other[column - 2] && one[row - 2] === other[column - 1];
      current.push(
        Math.min(
          cell(row - 1, column) + 1,
          cell(row, column - 1) + 1,
          cell(row - 1, column - 1) + (one[row - 1] === other[column - 1] ? 0 : 1),
          swapped && row > 1 && column > 1 ? cell(row - 2, column - 2) + 1 : Number.POSITIVE_INFINITY
        )
      );
    }
  }
  return cell(one.length, other.length);
}
