# The chart gets what the other modules made, and a version that stays the same.

mock_provider "helm" {}

variables {
  chart              = "./tests"
  namespace          = "events-proxy"
  registry           = "registry.example/events-proxy"
  image_tag          = "0.1.0"
  brokers            = ["b-1:9096"]
  retention_hours    = 337
  storage_class_name = "gp3"
  target             = { url = "https://target.example/graphql", requests_per_interval = 500, interval_ms = 1000 }
}

run "a_failed_upgrade_goes_back" {
  command = plan

  assert {
    condition     = helm_release.this.atomic && helm_release.this.cleanup_on_fail
    error_message = "an upgrade holds or leaves nothing behind"
  }
  assert {
    condition     = yamldecode(helm_release.this.values[0]).queue.brokers == ["b-1:9096"] && yamldecode(helm_release.this.values[0]).target.requestsPerInterval == 500
    error_message = "brokers and limit reach the chart"
  }
  assert {
    condition     = yamldecode(helm_release.this.values[0]).database.ca.configMap == "database-ca"
    error_message = "the database has to prove who it is"
  }
  assert {
    condition     = yamldecode(helm_release.this.values[0]).ingest.spool.storageClassName == "gp3"
    error_message = "spools ask for a class that is there"
  }
}

run "further_values_come_last_and_so_win" {
  command = plan
  variables { values = "ingress: {enabled: true}" }

  assert {
    condition     = yamldecode(helm_release.this.values[1]).ingress.enabled
    error_message = "further values reach the chart, behind its own"
  }
}

run "a_changed_chart_is_a_change" {
  command = plan

  assert {
    condition     = yamldecode(helm_release.this.values[0]).global.chart == sha256("release.tftest.hcl ${filesha256("./tests/release.tftest.hcl")}\n")
    error_message = "what the chart's files hold reaches the release"
  }
}

run "the_service_knows_how_long_the_topic_keeps_events" {
  command = plan

  assert {
    condition     = yamldecode(helm_release.this.values[0]).settings == { queue_retention_ms = 1213200000, journal_retention_days = 15 }
    error_message = "the alarm reckons with what the brokers are set to, and the journal forgets nothing that the topic still has"
  }
}

run "a_new_cluster_is_asked_for_no_kind_that_it_lacks" {
  command = plan

  assert {
    condition     = yamldecode(helm_release.this.values[0]).monitoring == { podMonitor = false, rules = false, dashboards = true }
    error_message = "what the operator brings along is not asked for before it is there"
  }
}

run "the_operator_gets_monitor_and_alerts" {
  command = plan
  variables { prometheus_operator = true }

  assert {
    condition     = yamldecode(helm_release.this.values[0]).monitoring == { podMonitor = true, rules = true, dashboards = true }
    error_message = "once it is there, it is told what to scrape and when to ring"
  }
}

run "latest_is_refused" {
  command = plan
  variables { image_tag = "latest" }
  expect_failures = [var.image_tag]
}

run "a_target_in_clear_text_is_refused" {
  command = plan
  variables { target = { url = "http://target.example", requests_per_interval = 1, interval_ms = 1 } }
  expect_failures = [var.target]
}
