import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { RULESET } from '../../src/lib/decision/rules.ts';
import { TABLES } from '../../src/lib/decision/tables.ts';

const PROSE = fileURLToPath(new URL('./rules-page.md', import.meta.url));

/** `docs/reference/decision-rules.md`: the prose beside this file, with the tables where it names them. */
export function rulesPage(): string {
  const parts: Record<string, string> = {
    RULESET: `\`${RULESET.id}\`, version ${RULESET.version} of ${RULESET.date}`,
    TABLES: tables(),
    CODES: codes(),
    INTERACTIONS: interactions(),
    DUPLICATES: duplicates(),
    ALLERGIES: allergies(),
    CRITICAL: critical(),
    PREVENTIVE: preventive(),
    HOURS: String(TABLES.criticalValues.hours),
  };
  return readFileSync(PROSE, 'utf8').replace(/\{\{([A-Z]+)\}\}/g, (_mark, name: string) => parts[name] ?? '');
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), `|${'---|'.repeat(head.length)}`, ...rows.map(line)].join('\n');
}

function tables(): string {
  const { ingredients, interactions: pairs, allergies: groups, criticalValues, preventive: care } = TABLES;
  const holds: Record<string, string> = {
    [ingredients.table]: `${ingredients.ingredients.length} ingredients, ${ingredients.products.length} combinations by brand, ${ingredients.classes.length} classes`,
    [pairs.table]: `${pairs.rules.length} rules`,
    [groups.table]: `${groups.groups.length} groups`,
    [criticalValues.table]: `${criticalValues.rules.length} quantities`,
    [care.table]: `${care.rules.length} recommendations`,
  };
  const rows = Object.values(TABLES).map(({ table: name, version, date, source }) => [
    `\`${name}\``,
    version,
    date,
    holds[name] ?? '',
    source,
  ]);
  return table(['Table', 'Version', 'Date', 'Holds', 'Source'], rows);
}

function codes(): string {
  const { date, how, kept, corrected, removed } = TABLES.ingredients.codesChecked;
  return `Checked on ${date}: ${kept} codes kept, ${corrected} corrected, ${removed} removed. ${how}`;
}

function interactions(): string {
  return table(
    ['Rule', 'Between', 'And', 'Severity'],
    TABLES.interactions.rules.map(({ id, one, other, severity }) => [
      `\`${id}\``,
      one.join(', '),
      other.join(', '),
      severity,
    ])
  );
}

function duplicates(): string {
  const reported = TABLES.ingredients.classes.filter(({ duplicate }) => duplicate !== undefined);
  return table(
    ['Class', '', 'Severity'],
    reported.map(({ code, display, duplicate }) => [`\`#${code}\``, display, duplicate ?? ''])
  );
}

function allergies(): string {
  return table(
    ['Group', 'Members', 'Severity', 'Related, with their severity'],
    TABLES.allergies.groups.map(({ id, members, severity, cross, onlyByName }) => [
      `\`${id}\`${onlyByName ? ' (only where named as a whole)' : ''}`,
      members.join(', '),
      severity,
      cross.map((each) => `${each.members.join(', ')}: ${each.severity}`).join('; '),
    ])
  );
}

function critical(): string {
  return table(
    ['Rule', 'LOINC', 'At or below', 'At or above', 'Unit', 'Also accepted', 'Plausible', 'From age'],
    TABLES.criticalValues.rules.map((rule) => [
      `\`${rule.id}\``,
      rule.loinc.join(', '),
      String(rule.low ?? ''),
      String(rule.high ?? ''),
      `\`${rule.unit}\``,
      Object.keys(rule.units)
        .filter((unit) => unit !== rule.unit)
        .map((unit) => `\`${unit}\``)
        .join(', '),
      rule.plausible.join(' to '),
      String(rule.fromAge),
    ])
  );
}

function preventive(): string {
  return table(
    ['Rule', '', 'For whom', 'Fulfilled by', 'Source'],
    TABLES.preventive.rules.map(({ id, title, sex, minAge, maxAge, needs, done, source }) => [
      `\`${id}\``,
      title,
      [sex, maxAge >= 120 ? `from ${minAge}` : `${minAge} to ${maxAge}`, ...(needs ?? [])]
        .filter((part) => part !== undefined)
        .join(', '),
      done
        .map(
          ({ codes, months, doses }) =>
            `${doses ? `${doses} of ` : ''}${codes.length} code list(s) ${months ? `within ${months} months` : 'ever'}`
        )
        .join('; '),
      `${source.name}, ${source.date}`,
    ])
  );
}
