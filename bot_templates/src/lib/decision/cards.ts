import type { AllergyConflict } from './allergies.ts';
import type { CriticalFinding, Unassessed } from './critical.ts';
import type { Differential } from './differential.ts';
import type { Duplicate } from './duplicates.ts';
import type { Interaction } from './interactions.ts';
import type { Recommendation } from './preventive.ts';
import type { Ruleset } from './rules.ts';
import type { Severity } from './tables.ts';

/** A card as CDS Hooks defines it. */
export interface Card {
  /** At most 140 characters. */
  summary: string;
  indicator: 'info' | 'warning' | 'critical';
  /** Markdown. */
  detail: string;
  source: { label: string; url?: string };
  links: { label: string; url: string; type: 'absolute' }[];
}

/** What cards are made of. */
export interface Carded {
  interactions: readonly Interaction[];
  duplicates: readonly Duplicate[];
  allergyConflicts: readonly AllergyConflict[];
  criticalFindings: readonly (CriticalFinding & { superseded: boolean })[];
  unitMismatches: readonly Unassessed[];
  preventive: readonly Recommendation[];
  differentials: readonly Differential[];
}

const LONGEST_SUMMARY = 140;
const INDICATOR: Record<Severity, Card['indicator']> = { high: 'critical', moderate: 'warning', low: 'info' };
const CRITICAL_WORDS = { HH: 'critically high', LL: 'critically low', AA: 'critical' } as const;

/** One card for each finding, the gravest kinds first. */
export function cardsOf(findings: Carded, ruleset: Ruleset): Card[] {
  const label = `${ruleset.id} ${ruleset.version} (${ruleset.date})${ruleset.site ? ', changed by the site' : ''}`;
  const source = { label };
  return [
    ...findings.criticalFindings.filter(({ superseded }) => !superseded).map((each) => criticalCard(each, source)),
    ...[...findings.allergyConflicts, ...findings.interactions, ...findings.duplicates].map((each) =>
      card(`${KIND[each.kind]}: ${each.title}`, INDICATOR[each.severity], each.detail, source)
    ),
    ...findings.unitMismatches.map((each) =>
      card(
        `${each.rule}: the unit is missing or another one, so the value was not assessed`,
        'warning',
        `${each.observation}: ${each.reason}. Check the result and its unit.`,
        source
      )
    ),
    ...findings.preventive.filter(({ status }) => status !== 'up-to-date').map(preventiveCard),
    ...findings.differentials.map(differentialCard),
  ];
}

const KIND = { DRG: 'Interaction', DUPTHPY: 'Duplicate', ALGY: 'Allergy' } as const;

function criticalCard(finding: CriticalFinding, source: Card['source']): Card {
  const { value, comparator = '', unit = '', limit, limitUnit, basis, preliminary, date } = finding;
  const measured = value === undefined ? '' : ` ${comparator}${value} ${plain(unit)}`.trimEnd();
  const name = plain(finding.name);
  const why =
    basis === 'limit'
      ? `The limit is ${limit} ${limitUnit}.`
      : 'The laboratory marked it so; no limit of the table was passed.';
  return card(
    `${name}${measured}: ${CRITICAL_WORDS[finding.interpretation]}`,
    'critical',
    `${name}${measured}, ${date ?? 'without a date'}${preliminary ? ', preliminary' : ''}. ${why}`,
    source
  );
}

function preventiveCard(recommendation: Recommendation): Card {
  const { title, status, lastDone, source, note } = recommendation;
  const detail = [
    status === 'unknown' ? 'Age or sex is not recorded, so it cannot be said whether it applies.' : undefined,
    lastDone === undefined ? 'The record shows no date at which it was done.' : `Last done: ${lastDone}.`,
    note,
    `${source.name}, ${source.date}.`,
  ];
  return {
    ...card(
      `${status === 'due' ? 'Due' : 'Check'}: ${title}`,
      'info',
      detail.filter((part) => part !== undefined).join(' '),
      {
        label: source.name,
        ...(source.url === undefined ? {} : { url: source.url }),
      }
    ),
    links: source.url === undefined ? [] : [{ label: 'Recommendation', url: source.url, type: 'absolute' }],
  };
}

function differentialCard({ condition, label, reasoning }: Differential): Card {
  const detail = [
    label,
    ...reasoning.map(
      ({ text, citations }) => `${plain(text, 1_000)} (${citations.map(({ source }) => source).join(', ')})`
    ),
  ];
  return card(`To consider, suggested by AI: ${plain(condition)}`, 'info', detail.join(' '), { label });
}

function card(summary: string, indicator: Card['indicator'], detail: string, source: Card['source']): Card {
  return { summary: shortened(summary), indicator, detail, source, links: [] };
}

function shortened(text: string): string {
  return text.length <= LONGEST_SUMMARY
    ? text
    : `${text
        .slice(0, LONGEST_SUMMARY - 1)
        .toWellFormed()
        .trimEnd()}…`;
}

/** Words of a record or a model, in one line and without what Markdown or HTML would take for its own. */
function plain(text: string, longest = 80): string {
  return text
    .replace(/[\p{Cc}\s]+/gu, ' ')
    .replace(/[\\`*_[\]<>#|~!]/g, ' ')
    .replace(/ {2,}/g, ' ')
    .trim()
    .slice(0, longest)
    .toWellFormed();
}
