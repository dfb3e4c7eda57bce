// What a dashboard of Windhover may look like: Grafana's published model, narrowed to
// the kinds of panel and of query in use, so that a misspelt key is a type error.
import type {
  AnnotationQuery,
  Dashboard,
  DataQuery,
  FieldConfig,
  FieldConfigSource,
  Panel,
  RowPanel,
  VariableModel,
} from '@grafana/schema';
import type * as bargauge from '@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen';
import type * as logs from '@grafana/schema/dist/esm/raw/composable/logs/panelcfg/x/LogsPanelCfg_types.gen';
import type * as stat from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type * as timeline from '@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen';
import type * as table from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type * as timeseries from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

// JSON writes a member of an enumeration as its value.
type InJSON<T> = T extends string
  ? `${T}`
  : T extends number
    ? number extends T
      ? T
      : `${T}` extends `${infer N extends number}`
        ? N
        : never
    : T extends readonly (infer U)[]
      ? InJSON<U>[]
      : T extends object
        ? { [K in keyof T]: InJSON<T[K]> }
        : T;

interface DataSource<Type extends string, Name extends string> {
  type: Type;
  uid: `\${${Name}}`;
}
type Prometheus = DataSource<'prometheus', 'prometheus'>;
type VictoriaLogs = DataSource<'victoriametrics-logs-datasource', 'logs'>;
type Loki = DataSource<'loki', 'logs'>;

// The queries of a data source belong to its plugin; these are the keys that the
// plugins read, of those that we set.
interface PromQL extends Omit<DataQuery, 'datasource'> {
  datasource: Prometheus;
  editorMode: 'code';
  expr: string;
  legendFormat?: string;
  instant?: boolean;
  range?: boolean;
  format?: 'time_series' | 'table';
}
interface LogsQL extends Omit<DataQuery, 'datasource'> {
  datasource: VictoriaLogs;
  editorMode: 'code';
  expr: string;
  legendFormat?: string;
  queryType: 'instant' | 'stats' | 'statsRange';
  maxLines?: number;
}
interface LogQL extends Omit<DataQuery, 'datasource'> {
  datasource: Loki;
  editorMode: 'code';
  expr: string;
  queryType: 'range';
  maxLines?: number;
}

// The own settings of a kind of panel, without the index signature that lets anything
// pass.
interface Fields<Custom> extends Omit<FieldConfigSource, 'defaults'> {
  defaults: Omit<FieldConfig, 'custom'> & { custom?: Custom };
}
interface Kind<Type extends string, Source, Query, Options, Custom = never>
  extends Omit<Panel, 'type' | 'datasource' | 'targets' | 'options' | 'fieldConfig'> {
  type: Type;
  id: number;
  title: string;
  description: string;
  datasource: Source;
  targets: Query[];
  options: Options;
  fieldConfig: Fields<Custom>;
}
type Numbers<Type extends string, Options, Custom = never> =
  | Kind<Type, Prometheus, PromQL, Options, Custom>
  | Kind<Type, VictoriaLogs, LogsQL, Options, Custom>;

type AnyPanel =
  | Omit<RowPanel, 'panels'> & { panels: [] }
  | Numbers<'timeseries', timeseries.Options, timeseries.FieldConfig>
  | Numbers<'bargauge', bargauge.Options>
  | Kind<'stat', Prometheus, PromQL, stat.Options>
  | Kind<'state-timeline', Prometheus, PromQL, timeline.Options, timeline.FieldConfig>
  | Kind<'table', Prometheus, PromQL, table.Options, table.FieldConfig>
  | Kind<'logs', VictoriaLogs, LogsQL, logs.Options>
  | Kind<'logs', Loki, LogQL, logs.Options>;

interface Strict extends Omit<Dashboard, 'panels' | 'annotations' | 'templating'> {
  uid: string;
  title: string;
  schemaVersion: 42;
  panels: AnyPanel[];
  annotations: { list: (Omit<AnnotationQuery, 'target' | 'datasource'> & { datasource: VictoriaLogs | Loki; target: LogsQL | LogQL })[] };
  templating: { list: VariableModel[] };
}

export type WindhoverDashboard = InJSON<Strict>;
