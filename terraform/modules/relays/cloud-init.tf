locals {
  folder = "/usr/local/lib/lifeverse"

  machine = {
    for colour, what in var.colours : colour => {
      REGION              = local.region
      VERSION             = what.version
      BUCKET_URL          = "https://${var.artefacts.bucket}.s3.${var.artefacts.region}.amazonaws.com"
      EDGE                = var.edge_url
      VOICE_REGION        = var.voice_region
      COLOUR              = colour
      GROUP               = local.groups[colour]
      SHARDS              = var.capacity.shards
      MAX_PARTICIPANTS    = var.capacity.participants
      MEDIA_PORTS         = var.network.media_ports
      RECORDS_URL         = var.records == null ? "" : "https://${var.records.bucket}.s3.${var.records.region}.amazonaws.com"
      REMOTE_WRITE_URL    = try(var.remote_write.url, "")
      REMOTE_WRITE_SIGNED = try(var.remote_write.workspace_arn, null) == null ? "" : "yes"
    }
  }

  files = {
    "${local.folder}/aws.sh"     = file("${path.module}/files/aws.sh")
    "${local.folder}/install.sh" = file("${path.module}/files/install.sh")
    "${local.folder}/drain.sh"   = file("${path.module}/files/drain.sh")
    "${local.folder}/records.sh" = file("${path.module}/files/records.sh")
    # The same that people check a release with.
    "${local.folder}/verify.sh" = file("${path.module}/../../../infra/deploy/verify.sh")

    "/etc/systemd/system/lifeverse-drain.service"   = file("${path.module}/files/lifeverse-drain.service")
    "/etc/systemd/system/lifeverse-records.service" = file("${path.module}/files/lifeverse-records.service")
    "/etc/systemd/system/lifeverse-records.timer"   = file("${path.module}/files/lifeverse-records.timer")
    "/etc/lifeverse-voice/release.pem"              = var.artefacts.release_key

    # The clock of the machine's own host: tickets and sealed messages hold for seconds.
    "/etc/chrony/sources.d/aws.sources" = "server 169.254.169.123 prefer iburst minpoll 4 maxpoll 4\n"
    "/etc/sysctl.d/80-lifeverse-machine.conf" = join("", [for line in [
      "kernel.dmesg_restrict = 1",
      "kernel.kptr_restrict = 2",
      "kernel.unprivileged_bpf_disabled = 1",
      "kernel.yama.ptrace_scope = 2",
      "net.ipv4.conf.all.accept_redirects = 0",
      "net.ipv4.conf.all.send_redirects = 0",
      "net.ipv6.conf.all.accept_redirects = 0",
    ] : "${line}\n"])
    # A library that is replaced is no reason to end calls: patches come with the next image.
    "/etc/needrestart/conf.d/lifeverse.conf" = "$nrconf{override_rc}{qr(^lifeverse)} = 0;\n"
    "/etc/default/prometheus"                = "ARGS=\"--enable-feature=agent --storage.agent.path=/var/lib/prometheus/agent --web.listen-address=127.0.0.1:9090\"\n"
  }

  # JSON is YAML, and needs no care about indents.
  user_data = {
    for colour, machine in local.machine : colour => join("", ["#cloud-config\n", jsonencode({
      # No password and no key: people come by Session Manager. A list without `default` makes no
      # user of the image's, and may not be empty; this one is there and opens nothing.
      users        = [{ name = "nobody", lock_passwd = true }]
      disable_root = true
      ssh_pwauth   = false
      packages     = concat(["chrony", "curl", "openssl"], var.remote_write == null ? [] : ["prometheus"])
      write_files = concat(
        [for path, content in local.files : { path = path, content = content, permissions = "0644" }],
        [{
          path        = "/etc/lifeverse-voice/machine.env"
          content     = join("", [for name, value in machine : "${name}='${value}'\n"])
          permissions = "0644"
        }],
      )
      bootcmd = [["systemctl", "mask", "--now", "ssh.service", "ssh.socket", "apt-daily.timer", "apt-daily-upgrade.timer"]]
      runcmd = [
        ["sysctl", "--system", "--quiet"],
        ["systemctl", "restart", "chrony.service"],
        ["systemctl", "daemon-reload"],
        ["sh", "${local.folder}/install.sh"],
      ]
    })])
  }
}
