import type { Fields } from '../fields.ts';
import { isKnownUnit } from './quantity.ts';
import type { DecisionRules, SiteChanges } from './rules.ts';
import { changedBy, MOST, NAME, newId, refuseIf, withoutOff } from './site-parts.ts';
import type { CodeSet, CriticalRule, PreventiveRule } from './tables.ts';

/** The critical limits with those of the site. */
export function withCritical(rules: DecisionRules, part: Fields | undefined, site: SiteChanges) {
  const kept = withoutOff(rules.critical, part, 'critical', site);
  const critical = changedBy(kept, part, 'critical', site, (rule, fields) => inOrder(withLimits(rule, fields)));
  for (const fields of part?.objects('add', MOST) ?? []) {
    const unit = fields.present('unit', fields.text('unit', NAME));
    const same = fields.texts('sameUnits', 10, NAME) ?? [];
    refuseIf(
      [unit, ...same].some((each) => !isKnownUnit(each)),
      'critical.add',
      'has a unit that is not known'
    );
    const loinc = fields.present('loinc', fields.texts('loinc', 20, 20));
    refuseIf(
      critical.some((rule) => rule.loinc.some((code) => loinc.includes(code))),
      'critical.add',
      'has a LOINC code of another rule'
    );
    const rule: CriticalRule = {
      id: newId(
        fields,
        'id',
        critical.map(({ id }) => id)
      ),
      name: fields.present('name', fields.text('name', NAME)),
      loinc,
      unit,
      units: Object.fromEntries([unit, ...same].map((each) => [each, 1])),
      plausible: [
        fields.present('plausibleFrom', fields.number('plausibleFrom', -1e9, 1e9)),
        fields.present('plausibleTo', fields.number('plausibleTo', -1e9, 1e9)),
      ],
      fromAge: 18,
    };
    critical.push(inOrder(withLimits(rule, fields)));
    fields.done();
    site.added++;
  }
  const criticalHours = part?.integer('hours', 1, 24 * 31) ?? rules.criticalHours;
  part?.done();
  return { critical, criticalHours };
}

function withLimits(rule: CriticalRule, fields: Fields): CriticalRule {
  const [low, high] = [fields.number('low', -1e9, 1e9), fields.number('high', -1e9, 1e9)];
  const fromAge = fields.integer('fromAge', 0, 120) ?? rule.fromAge;
  return { ...rule, fromAge, ...(low === undefined ? {} : { low }), ...(high === undefined ? {} : { high }) };
}

function inOrder(rule: CriticalRule): CriticalRule {
  const { low, high, plausible } = rule;
  const order = [plausible[0], low, high, plausible[1]].filter((each) => each !== undefined);
  const wrong = order.some((each, index) => index > 0 && each <= (order[index - 1] as number));
  refuseIf(wrong || order.length < 3, 'critical', 'has limits that are missing, out of order or not plausible');
  return rule;
}

/** The recommendations with those of the site. */
export function withPreventive(rules: DecisionRules, part: Fields | undefined, site: SiteChanges) {
  const kept = withoutOff(rules.preventive, part, 'preventive', site);
  const preventive = changedBy(kept, part, 'preventive', site, (rule, fields) => {
    const ages = {
      minAge: fields.integer('minAge', 0, 150) ?? rule.minAge,
      maxAge: fields.integer('maxAge', 0, 150) ?? rule.maxAge,
    };
    refuseIf(ages.minAge > ages.maxAge, 'preventive.change', 'has ages out of order');
    return { ...rule, ...ages };
  });
  for (const fields of part?.objects('add', MOST) ?? []) {
    preventive.push(
      preventiveRule(
        fields,
        rules,
        preventive.map(({ id }) => id)
      )
    );
    site.added++;
  }
  part?.done();
  return { preventive };
}

function preventiveRule(fields: Fields, rules: DecisionRules, ids: readonly string[]): PreventiveRule {
  const id = newId(fields, 'id', ids);
  const title = fields.present('title', fields.text('title', NAME));
  const sex = fields.oneOf('sex', ['female', 'male'] as const);
  const minAge = fields.present('minAge', fields.integer('minAge', 0, 150));
  const maxAge = fields.present('maxAge', fields.integer('maxAge', 0, 150));
  refuseIf(minAge > maxAge, 'preventive.add', 'has ages out of order');
  const needs = fields.texts('needs', 10, NAME);
  refuseIf(
    (needs ?? []).some((need) => !Object.hasOwn(rules.needs, need)),
    'preventive.add',
    'needs something unknown'
  );
  const source = fields.present('source', fields.object('source'));
  const from = {
    name: source.present('name', source.text('name', NAME)),
    date: source.present('date', source.date('date')),
  };
  source.done();
  const done = fields.present('done', fields.objects('done', 20)).map((each) => {
    const [months, doses] = [each.integer('months', 1, 1_200), each.integer('doses', 1, 10)];
    const codes = codeSets(each, 'codes');
    each.done();
    return { codes, ...(months === undefined ? {} : { months }), ...(doses === undefined ? {} : { doses }) };
  });
  fields.done();
  return { id, title, ...(sex ? { sex } : {}), minAge, maxAge, ...(needs ? { needs } : {}), source: from, done };
}

function codeSets(fields: Fields, name: string): CodeSet[] {
  return fields.present(name, fields.objects(name, 20)).map((each) => {
    const set = {
      system: each.present('system', each.text('system', 200)),
      codes: each.present('codes', each.texts('codes', 200, 64)),
    };
    each.done();
    return set;
  });
}
