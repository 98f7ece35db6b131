/** What models think aloud before they answer; an unclosed thought takes the rest with it. */
const THOUGHT = /<(think|thinking|reasoning)>[\s\S]*?(?:<\/\1>|$)/gi;

/** Longest answer that is looked at; anything beyond is no answer to the bots' schemas. */
const GREATEST_LENGTH = 200_000;

/**
 * The JSON values in a model's answer, best first: the whole text, then each balanced object in prose, the longest
 * first. Thoughts are removed before.
 */
export function jsonValues(answer: string): unknown[] {
  const text = answer.slice(0, GREATEST_LENGTH).replace(THOUGHT, '').trim();
  const whole = parse(text);
  if (whole !== undefined) {
    return [whole];
  }
  return balancedObjects(text)
    .sort((one, other) => other.length - one.length)
    .map(parse)
    .filter((value) => value !== undefined);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** Places where an object is looked for: each may cost a pass over the text, and a spin blocks the server. */
const MOST_STARTS = 50;

/** The outermost `{…}` of a text, braces within JSON strings not counted. */
function balancedObjects(text: string): string[] {
  const found: string[] = [];
  let start = text.indexOf('{');
  for (let looked = 0; start >= 0 && looked < MOST_STARTS; looked++) {
    const end = closingBrace(text, start);
    if (end !== undefined) {
      found.push(text.slice(start, end + 1));
    }
    start = text.indexOf('{', (end ?? start) + 1);
  }
  return found;
}

function closingBrace(text: string, start: number): number | undefined {
  let depth = 0;
  let quoted = false;
  for (let position = start; position < text.length; position++) {
    const character = text[position];
    if (quoted) {
      if (character === '\\') {
        position++;
      } else if (character === '"') {
        quoted = false;
      }
    } else if (character === '"') {
      quoted = true;
    } else if (character === '{') {
      depth++;
    } else if (character === '}' && --depth === 0) {
      return position;
    }
  }
  return undefined;
}
